"""Files that are written only if they answer as the net does."""

from collections.abc import Callable, Mapping
import dataclasses
import os
from typing import Protocol, TypeVar

import cv2
import numpy as np

from posejax import files
from posejax.errors import PosejaxError

BATCHES = (1, 3)
"""Sizes of batch that a file is tried with."""
KEYPOINT_PIXELS = 0.01
SCORE = 1e-4
"""Of the largest score, where that is above 1."""
TIE_SCORE = 1e-5
"""A score that is the same to this: rounding chose another of two cells that are as high."""
HALF_SCORE = 0.02
"""As `SCORE`, of nets whose weights are in half precision. MoveNet's scores differ by 0.0001."""
HALF_PIXELS = 4.0
"""As `KEYPOINT_PIXELS`, of such nets: a cell of the usual heatmaps."""
TIES = 0.05
"""Share of keypoints that rounding may decide, one always; a wrong graph moves most of them."""


class Found(Protocol):
  """What comparing a file with its net gave, in words by `str`."""

  @property
  def good(self) -> bool:
    """Whether the file may be left."""
    ...


Arrays = Mapping[str, np.ndarray]
RunFn = Callable[[Arrays], Arrays]
Verdict = TypeVar('Verdict')
FoundT = TypeVar('FoundT', bound=Found)


@dataclasses.dataclass(frozen=True)
class Agreement:
  """How far two answers for the same pictures are apart.

  Attributes:
    num_keypoints: that were compared, and corners of boxes; 0 of a net that only scores classes.
    num_off: further apart than `within` pixels, ties left out.
    num_ties: further apart, but with the same score.
    pixels: the largest distance along x or y, ties left out.
    score: the largest difference of scores, as a part of the largest score where that is above 1.
    half: whether it is of weights in half precision, by which single keypoints may go elsewhere.
  """

  num_keypoints: int
  num_off: int
  num_ties: int
  pixels: float
  score: float
  half: bool = False

  @property
  def within(self) -> float:
    """Pixels by which keypoints may be apart."""
    return HALF_PIXELS if self.half else KEYPOINT_PIXELS

  @property
  def good(self) -> bool:
    """Return whether they are the same but for rounding."""
    if self.half:
      most_stay = self.num_off + self.num_ties <= self.num_keypoints / 2
      return most_stay and self.score <= HALF_SCORE
    ties_allowed = max(1, TIES * self.num_keypoints)
    return self.num_off == 0 and self.num_ties <= ties_allowed and self.score <= SCORE

  def __str__(self) -> str:
    if not self.num_keypoints:
      return f'scores within {self.score:.1e}'
    return (
      f'{self.num_off} of {self.num_keypoints} keypoints off by more than {self.within:g} px (largest '
      f'{self.pixels:.2g}), {self.num_ties} ties, scores within {self.score:.1e}'
    )


def compare(found: Arrays, expected: Arrays, half: bool = False) -> Agreement:
  """Return how far apart `keypoints` `[B, K, 2]`, if any, and `scores` `[B, K]` or `[B, C]` are.

  Of a net that finds everybody, `keypoints` `[B, N, K, 2]` and `keypoint_scores` `[B, N, K]`, `boxes`
  `[B, N, 4]`, `scores` and `labels` `[B, N]`. With `half` as of weights in half precision.
  """
  scores = _score_differences(found, expected, 'scores')
  of_places, off = {}, 0
  if 'keypoints' in expected:
    name = 'keypoint_scores' if 'keypoint_scores' in expected else 'scores'
    of_places['keypoints'] = _score_differences(found, expected, name)
  if 'boxes' in expected:
    of_places['boxes'] = scores[..., None]
    other = np.asarray(found['labels']) != np.asarray(expected['labels'])
    off = int((other & (scores > TIE_SCORE)).sum())
  parts = [_compare_places(found[name], expected[name], of, half) for name, of in of_places.items()]
  return Agreement(
    num_keypoints=sum(part.num_keypoints for part in parts),
    num_off=sum(part.num_off for part in parts) + off,
    num_ties=sum(part.num_ties for part in parts),
    pixels=max((part.pixels for part in parts), default=0.0),
    score=max([float(scores.max(initial=0)), *(part.score for part in parts)]),
    half=half,
  )


def _score_differences(found: Arrays, expected: Arrays, name: str) -> np.ndarray:
  scores = np.asarray(expected[name])
  scale = max(1.0, float(np.abs(scores).max(initial=0)))
  difference = np.abs(np.asarray(found[name]) - scores) / scale
  return np.where(np.isfinite(difference), difference, np.inf)


def _compare_places(
  found: np.ndarray, expected: np.ndarray, scores: np.ndarray, half: bool
) -> Agreement:
  """Compare places `[..., 2]`, or corners of boxes `[..., 4]`, by how far their scores are apart."""
  apart = np.abs(np.asarray(found) - np.asarray(expected))
  apart = apart.reshape(*scores.shape[:-1], -1, 2).max(-1)
  apart = np.where(np.isfinite(apart), apart, np.inf)
  within = HALF_PIXELS if half else KEYPOINT_PIXELS
  off, scores = apart > within, np.broadcast_to(scores, apart.shape)
  tie = off & (scores <= TIE_SCORE)
  return Agreement(
    num_keypoints=apart.size,
    num_off=int((off & ~tie).sum()),
    num_ties=int(tie.sum()),
    pixels=float(apart[~tie].max(initial=0)),
    score=float(scores.max(initial=0)),
  )


def try_inputs(crop_size: tuple[int, int], in_image: bool, seed: int = 0) -> dict[str, np.ndarray]:
  """Return inputs to try a file with: pictures of soft shapes, as many as the largest batch."""
  rng = np.random.default_rng(seed)
  H, W = crop_size
  images = []
  for _ in range(max(BATCHES)):
    coarse = rng.integers(0, 256, (H // 8 + 2, W // 8 + 2, 3), dtype=np.uint8)
    soft = cv2.resize(coarse, (W, H), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    images.append(np.clip(soft + rng.normal(0, 6, soft.shape), 0, 255).astype(np.uint8))
  inputs = {'images': np.stack(images)}
  if in_image:
    inputs['affines'] = rng.normal(0, 1, (len(images), 2, 3)).astype(np.float32)
  return inputs


def agreement(run: RunFn, source: RunFn, inputs: Arrays, half: bool = False) -> Agreement:
  """Run both on the first 1 and the first 3 of the inputs, and compare them all."""
  pairs = []
  for batch in BATCHES:
    some = {name: np.ascontiguousarray(array[:batch]) for name, array in inputs.items()}
    pairs.append((run(some), source(some)))
  found, expected = (
    {name: np.concatenate([np.asarray(pair[i][name]) for pair in pairs]) for name in pairs[0][1]}
    for i in (0, 1)
  )
  return compare(found, expected, half)


def demand(path: str, found: FoundT) -> FoundT:
  """Return what was found.

  Args:
    path: of the file.
    found: what comparing it with the net gave.

  Raises:
    PosejaxError: it is not good.
  """
  if not found.good:
    raise PosejaxError(f'{path} is not written: it would not answer as the net does ({found}).')
  return found


def write(path: str, data: bytes, verify: Callable[[bytes], Verdict]) -> Verdict:
  """Write a file, read it again, and leave it there only if it stands the test.

  The name is taken at the end, in one step: nobody sees half a file, and what was there before stays if
  the new one fails.

  Args:
    path: to write to.
    data: the file.
    verify: is given what was read; raises PosejaxError if it is not to be left.

  Returns:
    What `verify` returned.

  Raises:
    PosejaxError: of `verify`, or the file cannot be written.
  """
  try:
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with files.replacing(path) as temporary:
      with open(temporary, 'wb') as file:
        file.write(data)
      with open(temporary, 'rb') as file:
        return verify(file.read())
  except OSError as error:
    raise files.explain(path, error) from error
