"""What every codec offers: encode and decode side by side, and what belongs to them."""

import abc
import dataclasses
from typing import ClassVar

import jax

from posejax.errors import PosejaxError
from posejax.types import Array


@dataclasses.dataclass(frozen=True)
class Codec(abc.ABC):
  """What a net is asked to output for keypoints, and how keypoints are read off what it did output.

  All methods are pure, batched, in float32, and run under `jax.jit`; a codec is a hashable value.

  Attributes:
    crop_size: (H, W) of the net's input in pixels.
    output: the name, in the model's dict of outputs, of the array that the codec is about.
    convention: which `posejax.geometry.affine.crop_matrix` the codec belongs to.
    shift_flip: what `shift` is in the flip test unless told otherwise.
    rescoring: how published results rank people by the scores of box and keypoints, a name of
      `posejax.metrics.oks.RESCORINGS`.
  """

  crop_size: tuple[int, int]

  output: ClassVar[str]
  convention: ClassVar[str]
  shift_flip: ClassVar[bool]
  rescoring: ClassVar[str] = 'product'

  def __post_init__(self):
    self._check_size('crop_size')

  @abc.abstractmethod
  def encode(self, keypoints_crop: Array, visibility: Array) -> tuple[jax.Array, jax.Array]:
    """Return what a net should output, and how much each keypoint of it counts.

    Args:
      keypoints_crop: `[B, K, 2]` in the crop frame; ignored where not labelled, NaN included.
      visibility: `[B, K]`, above 0 where labelled.

    Returns:
      `(targets, weights [B, K])`: targets in the codec's own form, and 1 for a keypoint that they
      say where to find, else 0.
    """

  @abc.abstractmethod
  def decode(self, outputs: Array) -> tuple[jax.Array, jax.Array]:
    """Return `(keypoints_crop [B, K, 2], scores [B, K])`. Keypoints are finite, whatever comes."""

  @abc.abstractmethod
  def flip(self, outputs: Array, flip_permutation: Array, shift: bool) -> jax.Array:
    """Turn the outputs for a mirrored crop into outputs for the crop, for the flip test's average.

    Args:
      outputs: for the crop mirrored by x -> W - 1 - x.
      flip_permutation: `[K]`, `Skeleton.flip_permutation`.
      shift: whether to undo the part of a cell by which mirrored outputs are off; a codec whose
        outputs mirror exactly has `shift_flip` False.
    """

  def average(self, outputs: Array, mirrored: Array) -> jax.Array:
    """Return the flip test's average of outputs and what `flip` gave, in the form of outputs."""
    return (outputs + mirrored) / 2

  @abc.abstractmethod
  def target_maps(self, targets: Array, weights: Array) -> Array:
    """Return what `encode` gave as maps in [0, 1], `[B, h, w, C]`, for people to look at.

    They cover the crop, and the largest over C shows all that is to be found.
    """

  @abc.abstractmethod
  def output_maps(self, outputs: Array) -> Array:
    """Return outputs as maps that cover the crop, `[B, h, w, K]`, for people to look at."""

  def _check_size(self, name: str) -> None:
    """Make the size a tuple of ints, or refuse it."""
    value = getattr(self, name)
    try:
      size = tuple(int(side) for side in value)
      valid = len(size) == 2 and size == tuple(value) and min(size) >= 2
    except (TypeError, ValueError):
      valid = False
    if not valid:
      raise PosejaxError(
        f'{type(self).__name__}: {name} must be (height, width), two whole numbers of at least 2, '
        f'got {value!r}.'
      )
    object.__setattr__(self, name, size)

  def _check_positive(self, name: str) -> None:
    value = getattr(self, name)
    if isinstance(value, str) or not value > 0:
      raise PosejaxError(f'{type(self).__name__}: {name} must be above 0, got {value!r}.')
