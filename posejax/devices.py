"""Devices: the mesh, where arrays lie on it, and what goes between the host and them."""

from collections.abc import Callable, Sequence
import pickle
from typing import Any, TypeVar

import jax
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from posejax.errors import PosejaxError

DATA_AXIS, STATE_AXIS = AXES = ('data', 'state')
"""Of the mesh. A batch is split over all devices, the state over those of the second axis alone."""
_T = TypeVar('_T')
_PIECE_BYTES = 1 << 26


def make_mesh(found: Sequence[jax.Device] | None = None, state: int = 1) -> Mesh:
  """Return the mesh `[data, state]` of all devices of all processes, or of those given.

  The devices of a process lie side by side, so that its examples do too; by their numbers alone they
  do not: the chips of a TPU slice are numbered by rows, and a host has a rectangle of them.

  Args:
    found: the devices.
    state: how many neighbours share one copy of the training state (`config.mesh.state`).

  Raises:
    PosejaxError: `state` does not divide the devices.
  """
  found = jax.devices() if found is None else found
  if len(found) % state:
    divisors = [n for n in range(1, len(found) + 1) if len(found) % n == 0]
    below, above = max(n for n in divisors if n < state), [n for n in divisors if n > state][:1]
    choices = ' or '.join(map(str, [below, *above]))
    raise PosejaxError(
      f'config.mesh.state={state} must divide the {len(found)} devices; try {choices}.'
    )
  ordered = sorted(found, key=lambda d: (d.process_index, d.id))
  return Mesh(np.array(ordered).reshape(-1, state), AXES)


def num_hosts(mesh: Mesh) -> int:
  """Return how many processes have devices of a mesh."""
  return len({device.process_index for device in mesh.devices.flat})


def num_slices(mesh: Mesh) -> int:
  """Return how many slices, joined by their hosts' network alone, the devices of a mesh lie in."""
  return len({getattr(device, 'slice_index', 0) for device in mesh.devices.flat})


def num_shares() -> int:
  """Return over how many devices the batch of the step being traced is split; 1 outside of one."""
  try:
    return lax.axis_size(AXES)
  except NameError:
    return 1


def replicated(mesh: Mesh) -> NamedSharding:
  """Return the sharding of what every device holds whole: parameters, sums."""
  return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
  """Return the sharding of a batch: its leading axis over the devices."""
  return NamedSharding(mesh, PartitionSpec(AXES))


def check_batch_size(key: str, batch_size: int, num_devices: int, microbatches: int = 1) -> None:
  """Refuse a batch that devices and microbatches do not divide, proposing the nearest that they do."""
  parts = num_devices * microbatches
  if batch_size % parts:
    below = batch_size // parts * parts
    choices = [str(b) for b in (below, below + parts) if b]
    into = f'{num_devices} devices'
    into += f' x {microbatches} microbatches' if microbatches > 1 else ''
    raise PosejaxError(
      f'config.{key}={batch_size} must be divisible by {into}; try {" or ".join(choices)}.'
    )


def put_batch(batch: Any, mesh: Mesh) -> Any:
  """Place this process's slice of a batch as its part of the global, sharded one."""
  sharding = sharded(mesh)
  if jax.process_count() == 1:
    return jax.device_put(batch, sharding)
  return jax.tree.map(lambda a: jax.make_array_from_process_local_data(sharding, a), batch)


def put_replicated(tree: Any, mesh: Mesh) -> Any:
  """Place a whole copy of `tree` on every device; all processes must hold the same values."""
  return jax.device_put(tree, replicated(mesh))


def gathered(tree: Any, mesh: Mesh) -> Any:
  """Return parameters whole on every device, however the mesh has them."""
  if mesh.shape[STATE_AXIS] == 1:
    return tree
  return jax.jit(_same, out_shardings=replicated(mesh))(tree)


def _same(tree: Any) -> Any:
  return tree


def placed_shapes(tree: Any, shardings: Any) -> Any:
  """Return the shapes of `tree`, arrays or shapes, as those of arrays that lie as `shardings` say."""
  return jax.tree.map(
    lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree, shardings
  )


def compile_init(
  init: Callable[[Any], Any], mesh: Mesh, shardings: Any = None
) -> Callable[[Any], Any]:
  """Compile `key -> variables` or `variables -> state`, the result whole on every device unless placed.

  Optimising code that runs once and draws random numbers for every parameter costs XLA ten times
  what it takes to compile it plainly (19 s against 1.9 s for a net of 30 arrays on two CPU cores).
  """
  return jax.jit(
    init,
    out_shardings=replicated(mesh) if shardings is None else shardings,
    compiler_options={'xla_backend_optimization_level': 0},
  )


def local_rows(array: jax.Array) -> np.ndarray:
  """Return this process's rows of an array whose leading axis is sharded over the devices."""
  if array.is_fully_addressable:
    return np.asarray(array)
  shards = sorted(array.addressable_shards, key=lambda s: s.index[0].start or 0)
  return np.concatenate([np.asarray(s.data) for s in shards])


def gather(items: list[Any]) -> list[Any]:
  """Return the items of all processes, in their order; every process must call it.

  Args:
    items: this process's, of any length; they are pickled.

  Sizes are rounded up to powers of two: each is a program to compile, and no two evaluations have
  records of the same size.
  """
  if jax.process_count() == 1:
    return items
  content = np.frombuffer(pickle.dumps(items), np.uint8)
  sizes = multihost_utils.process_allgather(np.array([len(content)])).ravel()
  padded = np.zeros(1 << int(sizes.max() - 1).bit_length(), np.uint8)
  padded[: len(content)] = content
  rows = multihost_utils.process_allgather(padded)
  parts = [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]
  return [item for part in parts for item in part]


def spread(arrays: Any, like: Any) -> Any:
  """Return process 0's arrays placed as `like`; every process must call it.

  Args:
    arrays: NumPy arrays in the structure of `like` on process 0; anything elsewhere.
    like: shapes, types and shardings, on all processes.

  They travel as bytes, in pieces of one size: that is one program, whatever the shapes, and a sum with
  zeros keeps them, which it would not do with -0.0.
  """
  shapes, structure = jax.tree.flatten(like)
  ends = np.cumsum([leaf.size * np.dtype(leaf.dtype).itemsize for leaf in shapes])
  piece = min(_PIECE_BYTES, 1 << int(ends[-1] - 1).bit_length())
  content = np.zeros(-(-int(ends[-1]) // piece) * piece, np.uint8)
  if jax.process_index() == 0:
    parts = [
      np.ascontiguousarray(leaf).reshape(-1).view(np.uint8) for leaf in jax.tree.leaves(arrays)
    ]
    np.concatenate(parts, out=content[: ends[-1]])
  for first in range(0, len(content), piece):
    part = content[first : first + piece]
    part[:] = multihost_utils.broadcast_one_to_all(part)

  def place(leaf, end):
    size = leaf.size * np.dtype(leaf.dtype).itemsize
    array = content[end - size : end].view(leaf.dtype).reshape(leaf.shape)
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda index: array[index])

  return jax.tree.unflatten(structure, map(place, shapes, ends))


def from_first(read: Callable[[], _T]) -> _T:
  """Return on every process what `read` gives on process 0; every process must call it.

  What one process saw of a shared folder another may see seconds later, and all must act on the same.

  Raises:
    PosejaxError: `read` raised it on process 0.
  """
  if jax.process_count() == 1:
    return read()
  answer = []
  if jax.process_index() == 0:
    try:
      answer = [(read(), None)]
    except PosejaxError as error:
      answer = [(None, error)]
  ((value, error),) = gather(answer)
  if error is not None:
    raise error
  return value
