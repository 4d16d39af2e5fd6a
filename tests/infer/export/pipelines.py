"""Pipelines of tiny nets of every family, with weights drawn by NumPy."""

import jax
import numpy as np

from posejax import experiment
from posejax.config import Config
from posejax.infer.export.pipeline import Pipeline
from posejax.labels import people
from posejax.skeletons import COCO

_COMPACT = {
  'name': 'pose_densenet_compact',
  'growth': 4,
  'block_layers': (1, 2),
  'stem_features': 8,
  'head_features': 8,
}
NETS = {
  'compact': ({}, _COMPACT, (32, 24)),
  'compact-dark': ({'codec': {'name': 'dark'}}, _COMPACT, (32, 24)),
  'compact-udp': ({'codec': {'name': 'udp'}}, _COMPACT, (32, 24)),
  'resnet18': ({}, {'name': 'pose_resnet18'}, (64, 32)),
  'resnet18-v2': ({}, {'name': 'pose_resnet18_v2'}, (32, 64)),
  'hrnet': ({}, {'name': 'pose_hrnet_w32', 'modules': (0, 0, 1), 'blocks': 1}, (64, 32)),
  'movenet': ({'codec': {'name': 'movenet'}}, {'name': 'posejax_movenet_lightning'}, (64, 96)),
  'fcn8s': (
    {'codec': {'name': 'discs', 'radius': 3.0}},
    {'name': 'fcn8s', 'batch_norm': True, 'width': 1 / 16},
    (64, 32),
  ),
  'regression': (
    {'codec': {'name': 'regression'}, 'loss': {'name': 'mse'}},
    {'name': 'regression_cnn', 'features': (4, 8), 'hidden': 16},
    (40, 28),
  ),
  'regression-rle': (
    {'codec': {'name': 'regression'}, 'loss': {'name': 'rle'}},
    {'name': 'regression_cnn', 'features': (4, 8), 'sigmas': True},
    (40, 28),
  ),
}


def draw(shapes, seed: int = 0):
  """Return variables of the given shapes, such that maps keep their size from layer to layer."""
  rng = np.random.default_rng(seed)

  def one(path, leaf):
    name = path[-1].key
    if name == 'kernel':
      deviation = np.sqrt(2 / np.prod(leaf.shape[:-1]))
      return rng.normal(0, deviation, leaf.shape).astype(np.float32)
    if name in ('scale', 'var'):
      return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    return rng.normal(0, 0.1, leaf.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(one, shapes)


def build(name: str, in_image: bool = False, dtype: str = 'float32') -> Pipeline:
  """Return the pipeline of one of `NETS`."""
  changes, model, crop_size = NETS[name]
  # The others have the same graph once or twice.
  flip = name.startswith(('compact', 'regression'))
  config = Config.from_dict(
    {
      'dtype': dtype,
      'task': {'name': 'pose', 'crop_size': crop_size, 'flip': flip},
      'model': model,
      **changes,
    }
  )
  labels = people(COCO)
  _, task = experiment.build(config, labels)
  variables = draw(jax.eval_shape(task.init, jax.random.key(0)))
  return Pipeline(task.infer, variables, crop_size, labels, in_image)
