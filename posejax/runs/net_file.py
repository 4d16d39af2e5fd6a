"""A net in one file: what it has learnt, in half precision, how it is built and what it names."""

import json
import os

import numpy as np

from posejax import paths
from posejax import weights as checkpoints
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.runs.saved_net import SavedNet
from posejax.weights import save
from posejax.weights.readers import safetensors

ENDING = '.safetensors'
_ABOUT = 'posejax'
_VERSION = 1
_OF_THE_NET = ('task', 'inputs', 'model', 'codec', 'loss')


def is_one(path: str) -> bool:
  """Return whether a path is meant to be such a file, rather than a run."""
  return path.endswith(ENDING)


def write(path: str, net: SavedNet, step: int) -> int:
  """Write a net, whole or not at all, without the data that it was trained on or any path.

  Args:
    path: of the file.
    net: called by the file's name when it is read.
    step: of the run's checkpoint that it is.

  Returns:
    How many bytes the file has. Values of a float16 that would overflow stay float32.
  """
  config = {section: net.config.to_dict()[section] for section in _OF_THE_NET}
  config['model'].pop('init_from', None)
  about = {
    'version': _VERSION,
    'name': os.path.basename(path).removesuffix(ENDING),
    'step': step,
    'threshold': net.threshold,
    'config': config,
    'labels': net.labels.to_json(),
  }
  arrays = {path: _halved(np.asarray(leaf)) for path, leaf in paths.flatten(net.variables).items()}
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
