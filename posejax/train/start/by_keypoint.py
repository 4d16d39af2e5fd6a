"""Which of a net's variables belong to keypoints, and taking them over from another skeleton by name."""

from collections.abc import Mapping, Set
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from posejax import experiment as experiments
from posejax import labels, paths
from posejax.config import Config
from posejax.labels import LabelSpace
from posejax.tasks import Task


class Place(NamedTuple):
  """Where an array has its keypoints.

  Attributes:
    axis: along which they lie one behind the other.
    width: values of each, such as 2 for pairs.
  """

  axis: int
  width: int


Places = Mapping[str, Place | None]


def places(
  config: Config, task: Task, other: LabelSpace, variables: Mapping[str, Any]
) -> dict[str, Place | None]:
  """Return the paths of arrays whose values belong to keypoints, where the two skeletons differ.

  They are those that are larger in a net for one keypoint more. Heads keep the values of a keypoint
  together (`posejax.models.heads`), so that how much larger says how many each has. None stands for an
  array that counts something else too, such as the background.

  Args:
    config: of the new run.
    task: likewise.
    other: what the net to start from knows.
    variables: path -> array of the new net.
  """
  skeleton = task.labels.skeleton
  if skeleton is None or other.skeleton is None or task.labels.keypoints == other.keypoints:
    return {}
  wider = dataclasses.replace(
    skeleton, keypoints=(*skeleton.keypoints, 'one more'), sigmas=(*skeleton.sigmas, 1.0)
  )
  _, wider_task = experiments.build(config, labels.people(wider))
  found = {}
  for path, leaf in paths.flatten(jax.eval_shape(wider_task.init, jax.random.key(0))).items():
    pairs = list(zip(variables[path].shape, leaf.shape, strict=True))
    grown = [(axis, a, b - a) for axis, (a, b) in enumerate(pairs) if a != b]
    if grown:
      axis, size, width = grown[0]
      plain = len(grown) == 1 and size == skeleton.num_keypoints * width
      found[path] = Place(axis, width) if plain else None
  return found


def builds_alike(
  which: Set[str], here: Mapping[str, Any], there: Mapping[str, Any], places: Places
) -> bool:
  """Return whether arrays have the same shapes, but for what follows from the number of keypoints."""
  return _shapes(here, which, places) == _shapes(there, which, places)


def _shapes(flat: Mapping[str, Any], which: Set[str], places: Places) -> dict[str, Any]:
  shapes = {}
  for path in which & flat.keys():
    shape = list(flat[path].shape)
    if path in places:
      place = places[path]
      shape = len(shape) if place is None else shape[: place.axis] + shape[place.axis + 1 :]
    shapes[path] = shape
  return shapes


def shared(there: LabelSpace, here: LabelSpace) -> list[tuple[int, int]]:
  """Return the places there and here of keypoints that both skeletons name."""
  numbers = {name: i for i, name in enumerate(there.keypoints)}
  return [(numbers[name], i) for i, name in enumerate(here.keypoints) if name in numbers]


def moved(there: np.ndarray, here: Any, place: Place, shared: list[tuple[int, int]]) -> np.ndarray:
  """Return `here` with the values of shared keypoints from their places `there`."""
  value = _keypoints_first(np.array(here), place)
  source = _keypoints_first(there, place)
  for i, j in shared:
    value[j] = source[i]
  return np.moveaxis(value.reshape(-1, *value.shape[2:]), 0, place.axis)


def _keypoints_first(array: np.ndarray, place: Place) -> np.ndarray:
  """Return an array as `[K, width, ...]`."""
  array = np.moveaxis(array, place.axis, 0)
  return array.reshape(-1, place.width, *array.shape[1:])


def told(there: LabelSpace, here: LabelSpace) -> tuple[str, ...]:
  """Return lines that say what became of the keypoints."""
  lists = {
    'taken by name': [name for name in here.keypoints if name in there.keypoints],
    'initialised': [name for name in here.keypoints if name not in there.keypoints],
    'left behind': [name for name in there.keypoints if name not in here.keypoints],
  }
  return tuple(f'keypoints {fate}: {", ".join(n) or "none"}' for fate, n in lists.items())
