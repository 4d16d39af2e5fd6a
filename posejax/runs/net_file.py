"""A net in one file: what it has learnt, in half precision, how it is built and what it names."""

import dataclasses
import json
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from posejax import paths
from posejax import weights as checkpoints
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.types import Variables
from posejax.weights import save
from posejax.weights.readers import safetensors

if TYPE_CHECKING:  # Orbax with it
  from posejax.runs.saved_run import SavedRun

ENDING = '.safetensors'
_ABOUT = 'posejax'
_VERSION = 1
_OF_THE_NET = ('task', 'inputs', 'model', 'codec', 'loss')


class SavedNet(NamedTuple):
  """A net without the run that trained it.

  Attributes:
    name: for people.
    config: of the net; what else a config says is the default.
    variables: NumPy, float32.
    labels: what its outputs stand for.
    threshold: score from which on a keypoint counts as seen; None where nothing was said.
  """

  name: str
  config: Config
  variables: Variables
  labels: LabelSpace
  threshold: float | None = None

  def with_flip(self, flip: bool) -> 'SavedNet':
    """Return the net read with or without the mirrored crop; only nets of one person a crop know it."""
    task = {**self.config.task, 'flip': flip}
    return self._replace(config=dataclasses.replace(self.config, task=task))

  def with_reach(self, reach: float) -> 'SavedNet':
    """Return the net with its keypoints read by another reach; only MoveNet's codec has one."""
    codec = {**self.config.codec, 'reach': reach}
    return self._replace(config=dataclasses.replace(self.config, codec=codec))


def is_one(path: str) -> bool:
  """Return whether a path is meant to be such a file, rather than a run."""
  return path.endswith(ENDING)


def write(path: str, run: 'SavedRun', threshold: float | None = None) -> int:
  """Write a run's net, whole or not at all, without its data, its optimiser or any path.

  Args:
    path: of the file.
    run: whose net.
    threshold: score from which on a keypoint counts as seen.

  Returns:
    How many bytes the file has. Values of a float16 that would overflow stay float32.
  """
  config = {section: run.config.to_dict()[section] for section in _OF_THE_NET}
  config['model'].pop('init_from', None)
  about = {
    'version': _VERSION,
    'name': os.path.basename(path).removesuffix(ENDING),
    'step': run.step,
    'threshold': threshold,
    'config': config,
    'labels': run.labels.to_json(),
  }
  arrays = {path: _halved(np.asarray(leaf)) for path, leaf in paths.flatten(run.variables).items()}
  save.save(path, arrays, {_ABOUT: json.dumps(about)})
  return os.path.getsize(path)


def read(path: str) -> SavedNet:
  """Return the net that `write` wrote.

  Raises:
    PosejaxError: the file is missing, damaged, of a later version, or is not of posejax.
  """
  tensors = checkpoints.load(path)
  try:
    with open(path, 'rb') as file:
      about = json.loads(safetensors.read_metadata(file)[_ABOUT])
    version = about['version']
    if version > _VERSION:
      raise PosejaxError(f'{path} is of a later version of posejax; install that one to use it.')
    config, labels = Config.from_dict(about['config']), LabelSpace.from_json(about['labels'])
    name = f'{about["name"]}, step {about["step"]}'
  except (KeyError, TypeError, ValueError) as error:
    raise PosejaxError(
      f'{path} does not say how its net is built. Expected a file that `posejax export '
      "--format=safetensors` wrote; `posejax convert` reads other projects' weights."
    ) from error
  variables = paths.nest({path: array.astype(np.float32) for path, array in tensors.items()})
  return SavedNet(name, config, variables, labels, about['threshold'])


def _halved(array: np.ndarray) -> np.ndarray:
  limits = np.finfo(np.float16)
  return array.astype(np.float16 if np.abs(array).max(initial=0) <= limits.max else np.float32)
