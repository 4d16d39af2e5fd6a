"""Several data sets trained on together, their keypoints mapped to one skeleton, or labelled alike."""

from collections.abc import Iterable, Mapping, Sequence
import hashlib
import logging
from typing import Any

import numpy as np

from posejax import labels as label_spaces
from posejax.data.sources.classes import instances
from posejax.errors import PosejaxError, nearest
from posejax.labels import LabelSpace
from posejax.skeletons import Skeleton
from posejax.types import Example, Picture

_LOG = logging.getLogger(__name__)


class Mixture:
  """The entries of several sources, one source after the other, all with one skeleton.

  The parts are sources of pictures, or people of such. Keypoints that a part does not have are not
  labelled (visibility 0); where the parts' classes differ, those with keypoints count as one, and things
  of others are left out. Without a skeleton the parts are labelled pictures, or ones with boxes, which
  must have the same classes.

  Attributes:
    name: 'mixture'.
    label_space: the classes, and what all keypoints are mapped to; no skeleton without keypoints.
    sources: the parts.
    keypoint_classes: names of the classes with keypoints in one of the parts.
    fingerprint: changes with a part or a mapping.
  """

  name = 'mixture'

  def __init__(
    self,
    sources: Sequence[Any],
    skeleton: Skeleton | None,
    mappings: Sequence[Mapping[str, str]] | None = None,
    repeats: Sequence[int] | None = None,
  ):
    """Join sources.

    Args:
      sources: in order, at least one.
      skeleton: the common one.
      mappings: for each source, names of `skeleton` -> names of the source's where they differ;
        others are matched by equal names.
      repeats: how often each source's examples come in an epoch; once where None.

    Raises:
      PosejaxError: a mapping names an unknown keypoint, a source shares none, people and labelled
        pictures are mixed, or classes differ.
    """
    self.sources = tuple(sources)
    mappings = mappings or [{}] * len(sources)
    repeats = repeats or [1] * len(sources)
    _check(sources, skeleton, repeats)
    classes = {source.label_space.class_names for source in sources}
    self.label_space = label_spaces.people(skeleton) if skeleton else sources[0].label_space
    if skeleton and len(classes) == 1:
      ids = sources[0].label_space.category_ids
      self.label_space = LabelSpace(*classes, skeleton, ids)
    self._one_class = len(classes) > 1
    figures = {name for source in sources for name in label_spaces.keypoint_classes(source)}
    names = self.label_space.class_names
    self.keypoint_classes = names if self._one_class else tuple(n for n in names if n in figures)
    self._figures = [
      [source.label_space.class_names.index(n) for n in label_spaces.keypoint_classes(source)]
      for source in sources
    ]
    if self._one_class:
      _tell_that_classes_are_one(figures, {name for names in classes for name in names} - figures)
    if skeleton is None:
      self._columns = [None] * len(sources)
    else:
      self._columns = [
        _columns(source, skeleton, mapping)
        for source, mapping in zip(sources, mappings, strict=True)
      ]
    lengths = [len(source) * times for source, times in zip(sources, repeats, strict=True)]
    self._starts = np.cumsum([0, *lengths])
    parts = zip(sources, self._columns, repeats, strict=True)
    key = repr([skeleton, *((s.fingerprint, c, times) for s, c, times in parts)])
    self.fingerprint = f'{self.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}'

  def __len__(self) -> int:
    return int(self._starts[-1])

  def __getitem__(self, index: int) -> Picture | Example:
    part, place = self._place(index)
    return self._mapped(part, self.sources[part][place])

  def labels(self, index: int) -> Picture | Example:
    """Return entry `index` without its picture."""
    part, place = self._place(index)
    return self._mapped(part, self.sources[part].labels(place))

  def _place(self, index: int) -> tuple[int, int]:
    if not 0 <= index < len(self):
      raise IndexError(f'The mixture has {len(self)} examples, asked for {index}.')
    part = int(np.searchsorted(self._starts, index, side='right')) - 1
    return part, (index - int(self._starts[part])) % len(self.sources[part])

  def _mapped(self, part: int, example: Picture | Example) -> Picture | Example:
    skeleton = self.label_space.skeleton
    if skeleton is None:
      return example
    shape = (*example['visibility'].shape[:-1], skeleton.num_keypoints)
    keypoints, visibility = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.int32)
    to, of = (list(column) for column in zip(*self._columns[part], strict=True))
    keypoints[..., to, :] = example['keypoints'][..., of, :]
    visibility[..., to] = example['visibility'][..., of]
    mapped = {**example, 'keypoints': keypoints, 'visibility': visibility}
    if self._one_class and 'labels' in example:
      mapped = instances(mapped, np.isin(example['labels'], self._figures[part]))
      mapped['labels'] = np.zeros_like(mapped['labels'])
    return mapped


def _tell_that_classes_are_one(figures: Iterable[str], others: Iterable[str]) -> None:
  _LOG.warning(
    'The parts of config.data.parts have different classes: %s count as one%s.',
    ', '.join(sorted(figures)),
    f', {", ".join(sorted(others))} are left out' if others else '',
  )


def _check(sources, skeleton: Skeleton | None, repeats: Sequence[int]) -> None:
  for source, times in zip(sources, repeats, strict=True):
    if type(times) is not int or times < 1:
      raise PosejaxError(
        f'config.data.parts: repeat={times!r} of {source.name!r} must be 1 or more.'
      )
    if (source.label_space.skeleton is None) != (skeleton is None):
      raise PosejaxError(
        f'config.data.parts: {source.name!r} and {sources[0].name!r} cannot be mixed: one has keypoints, '
        'the other none.'
      )
    classes = [part.label_space.class_names for part in (source, sources[0])]
    if skeleton is None and classes[0] != classes[1]:
      raise PosejaxError(
        f'config.data.parts: {source.name!r} has the classes {classes[0]}, {sources[0].name!r} has '
        f'{classes[1]}.'
      )


def _columns(source, skeleton: Skeleton, mapping: Mapping[str, str]) -> list[tuple[int, int]]:
  """Return pairs (number in the common skeleton, number in the source's)."""
  theirs = source.label_space.skeleton
  for name, other in mapping.items():
    for keypoint, known in ((name, skeleton), (other, theirs)):
      if keypoint not in known.keypoints:
        raise PosejaxError(
          f'config.data.parts: mapping {name!r} to {other!r} of {source.name!r}: skeleton '
          f'{known.name!r} has no keypoint {keypoint!r}.' + nearest(keypoint, known.keypoints)
        )
  chosen = {name: mapping.get(name, name) for name in skeleton.keypoints}
  pairs = [
    (skeleton.index(name), theirs.index(other))
    for name, other in chosen.items()
    if other in theirs.keypoints
  ]
  if not pairs:
    raise PosejaxError(
      f'{source.name!r} shares no keypoint with skeleton {skeleton.name!r}. It has '
      f'{list(theirs.keypoints)}; map some with config.data.parts.<name>.keypoints.'
    )
  missing = [name for name, other in chosen.items() if other not in theirs.keypoints]
  if missing:
    _LOG.warning('%s has no %s; there they count as not labelled.', source.name, ', '.join(missing))
  return pairs
