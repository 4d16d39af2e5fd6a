"""What strict conversions share: a net's shapes, what does not fit them, and how that is said."""

from collections.abc import Collection, Iterable

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

# The latter two widen to float32 without loss; a published net in anything else was not meant for this.
FLOATS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_LISTED = 8


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
  """Return 'collection/module/variable' -> shape, without computing anything."""
  images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  return {k: v.shape for k, v in traverse_util.flatten_dict(dict(variables), sep='/').items()}


def param_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
  """Return 'module/variable' -> shape of the net's parameters."""
  found = shapes(model).items()
  return {k.removeprefix('params/'): shape for k, shape in found if k.startswith('params/')}


def fault(
  name: str,
  tensor: np.ndarray | None,
  expected: Iterable[int] | None,
  dtypes: Collection[np.dtype] = (np.dtype(np.float32),),
) -> str | None:
  """Return in words what is wrong with a tensor of a file; None where it fits.

  Args:
    name: of the tensor.
    tensor: as the file has it; None where it is not there.
    expected: its shape there; any where None.
    dtypes: that will do.
  """
  if tensor is None:
    return f'{name}: not there' + ('' if expected is None else f', {list(expected)} expected')
  expected = list(tensor.shape if expected is None else expected)
  if list(tensor.shape) != expected or tensor.dtype not in dtypes:
    return f'{name}: {text(tensor)} there, float32 {expected} expected'
  if not np.isfinite(tensor).all():
    return f'{name}: holds values that are not finite'
  return None


def unknown(name: str, tensor: np.ndarray) -> str:
  """Return in words that a net has no use for a tensor of a file."""
  return f'{name}: {text(tensor)} there, unknown here'


def text(tensor: np.ndarray) -> str:
  """Return a tensor's type and shape."""
  return f'{tensor.dtype} {list(tensor.shape)}'


def message(head: str, differences: list[str], *end: str) -> str:
  """Return a message that lists the first differences, a line each, and how many others there are."""
  rest = len(differences) - _LISTED
  more = [f'and {rest} more'] if rest > 0 else []
  return '\n'.join([head, *(f'  {line}' for line in [*differences[:_LISTED], *more]), *end])
