"""What every codec offers: encode and decode side by side, and what belongs to them."""

import abc
from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import jax

from posejax.errors import PosejaxError
from posejax.types import Array


@dataclasses.dataclass(frozen=True)
class Codec(abc.ABC):
  """What a net is asked to output for keypoints, and how keypoints are read off what it did output.

  All methods are pure, batched, in float32, and run under `jax.jit`; a codec is a hashable value.

  Attributes:
    crop_size: (H, W) of the net's input in pixels.
    outputs: the names, in the model's dict of outputs, of the arrays that the codec is about. Targets
      have the same names; a codec may add others, such as what of a target counts.
    convention: which `posejax.geometry.affine.crop_matrix` the codec belongs to.
    shift_flip: what `shift` is in the flip test unless told otherwise.
    rescoring: how published results rank people by the scores of box and keypoints, a name of
      `posejax.metrics.oks.RESCORINGS`.
  """

  crop_size: tuple[int, int]

  outputs: ClassVar[tuple[str, ...]]
  convention: ClassVar[str]
  shift_flip: ClassVar[bool]
  rescoring: ClassVar[str] = 'product'

  def __post_init__(self):
    self._check_size('crop_size')

  @classmethod
  def fit(
    cls, crop_size: tuple[int, int], shapes: Mapping[str, tuple[int, ...]], **fields: Any
  ) -> 'Codec':
    """Return the codec for a net.

    Args:
      crop_size: (H, W) of the net's input.
      shapes: of the net's outputs by name, with their leading batch.
      **fields: those of the codec that do not follow from the shapes, or are to be others.
    """
    del shapes
    return cls(**{'crop_size': crop_size, **fields})

  @abc.abstractmethod
  def encode(
    self, keypoints_crop: Array, visibility: Array
  ) -> tuple[dict[str, jax.Array], jax.Array]:
    """Return what a net should output, and how much each keypoint of it counts.

    Args:
      keypoints_crop: `[B, K, 2]` in the crop frame; ignored where not labelled, NaN included.
      visibility: `[B, K]`, above 0 where labelled.

    Returns:
      `(targets, weights [B, K])`: targets by output, in the codec's own form, and 1 for a keypoint that
      they say where to find, else 0.
    """

  @abc.abstractmethod
  def decode(self, outputs: Mapping[str, Array]) -> tuple[jax.Array, jax.Array]:
    """Return `(keypoints_crop [B, K, 2], scores [B, K])`. Keypoints are finite, whatever comes."""

  @abc.abstractmethod
  def flip(
    self, outputs: Mapping[str, Array], flip_permutation: Array, shift: bool
  ) -> dict[str, jax.Array]:
    """Turn the outputs for a mirrored crop into outputs for the crop, for the flip test's average.

    Args:
      outputs: for the crop mirrored by x -> W - 1 - x.
      flip_permutation: `[K]`, `Skeleton.flip_permutation`.
      shift: whether to undo the part of a cell by which mirrored outputs are off; a codec whose
        outputs mirror exactly has `shift_flip` False.
    """

  @property
  def cell(self) -> tuple[float, float]:
    """(x, y) pixels of the crop that the outputs tell apart at first hand: 1 unless they are coarser."""
    return 1.0, 1.0

  @property
  def map_cell(self) -> tuple[float, float]:
    """(x, y) pixels of the crop from cell to cell of maps to look at; the first is on the first pixel."""
    return self.cell

  def average(
    self, outputs: Mapping[str, Array], mirrored: Mapping[str, Array]
  ) -> dict[str, jax.Array]:
    """Return the mean of outputs and of what `flip` made of the mirrored crop's."""
    return {name: (outputs[name] + mirrored[name]) / 2 for name in self.outputs}

  @abc.abstractmethod
  def target_maps(self, targets: Mapping[str, Array], weights: Array) -> Array:
    """Return what `encode` gave as maps in [0, 1], `[B, h, w, C]`, for people to look at.

    They cover the crop (`map_cell`), and the largest over C shows all that is to be found.
    """

  @abc.abstractmethod
  def output_maps(self, outputs: Mapping[str, Array]) -> Array:
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


class OneOutput(Codec):
  """A codec about one array; what it does with that array is in the methods with an underscore."""

  @property
  def output(self) -> str:
    """The name of the one output."""
    return self.outputs[0]

  def encode(
    self, keypoints_crop: Array, visibility: Array
  ) -> tuple[dict[str, jax.Array], jax.Array]:
    """Return the target of the one output, and the keypoints' weights."""
    targets, weights = self._encode(keypoints_crop, visibility)
    return {self.output: targets}, weights

  def decode(self, outputs: Mapping[str, Array]) -> tuple[jax.Array, jax.Array]:
    """Read keypoints and scores off the one output."""
    return self._decode(outputs[self.output])

  def flip(
    self, outputs: Mapping[str, Array], flip_permutation: Array, shift: bool
  ) -> dict[str, jax.Array]:
    """Turn the one output back."""
    return {self.output: self._flip(outputs[self.output], flip_permutation, shift)}

  def target_maps(self, targets: Mapping[str, Array], weights: Array) -> Array:
    """Return the one target as maps."""
    return self._target_maps(targets[self.output], weights)

  def output_maps(self, outputs: Mapping[str, Array]) -> Array:
    """Return the one output as maps."""
    return self._output_maps(outputs[self.output])

  @abc.abstractmethod
  def _encode(self, keypoints_crop: Array, visibility: Array) -> tuple[jax.Array, jax.Array]: ...

  @abc.abstractmethod
  def _decode(self, outputs: Array) -> tuple[jax.Array, jax.Array]: ...

  @abc.abstractmethod
  def _flip(self, outputs: Array, flip_permutation: Array, shift: bool) -> jax.Array: ...

  @abc.abstractmethod
  def _target_maps(self, targets: Array, weights: Array) -> Array: ...

  @abc.abstractmethod
  def _output_maps(self, outputs: Array) -> Array: ...
