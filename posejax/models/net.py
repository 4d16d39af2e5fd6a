"""The net: a backbone, a neck or none, and a head."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.errors import PosejaxError


class Net(nn.Module):
  """Pictures to raw named arrays: `images [B, H, W, 3] -> {name: float32 array}`.

  Parameters: `backbone/...`, `neck/...`, `head/...`.

  Attributes:
    backbone: `(images, train) -> {stride: map [B, h, w, C]}`.
    head: `(maps, train) -> {name: array}`.
    neck: `(maps, train) -> maps` at strides of its choice; None for none.
  """

  backbone: nn.Module
  head: nn.Module
  neck: nn.Module | None = None

  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return what the head gives for normalised float images; `train` toggles batch statistics.

    Apply with `mutable=['batch_stats']` where `train` is true.

    Raises:
      PosejaxError: a part takes no images of this height and width.
    """
    _check_size(images.shape[1:3], self.head)
    maps = self.backbone(images, train)
    if self.neck is not None:
      maps = self.neck(maps, train)
    outputs = self.head(maps, train)
    return {name: y.astype(jnp.float32) for name, y in outputs.items()}


def _check_size(size: tuple[int, int], head: nn.Module) -> None:
  """Refuse a height or width that is no multiple of what the head needs, if it says so."""
  multiple = getattr(head, 'multiple', 1)
  if any(side % multiple for side in size):
    better = tuple(max(1, round(side / multiple)) * multiple for side in size)
    raise PosejaxError(
      f'config.task.crop_size={size} must be divisible by {multiple} for {type(head).__name__}; '
      f'try {better}.'
    )
