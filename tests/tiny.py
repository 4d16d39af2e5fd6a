"""The smallest experiment that has every part: a net of 2,000 parameters on 24 drawn people."""

from typing import Any

from posejax.config import Config


def config(**changes: Any) -> Config:
  """Return it; `changes` are dotted keys with `__` for the dot: `optimizer__name='sgd'`."""
  values = {
    'num_steps': 4,
    'batch_size': 8,
    'log_every_steps': 2,
    'eval_every_steps': 2,
    'checkpoint_every_steps': 1,
    'task': {'name': 'pose', 'crop_size': (32, 24)},
    'data': {
      'num_train_examples': 24,
      'num_eval_examples': 12,
      'executor': 'threads',
      'augment': {'flip': 0.5, 'rotation': 20.0, 'color': 0.5},
    },
    'model': {
      'name': 'pose_densenet_compact',
      'growth': 4,
      'block_layers': (1, 1),
      'stem_features': 8,
      'head_features': 8,
    },
    'codec': {'name': 'msra', 'sigma': 1.0},
    'optimizer': {'learning_rate': 3e-3},
  }
  for key, value in changes.items():
    *path, last = key.split('__')
    section = values
    for name in path:
      section = section.setdefault(name, {})
    section[last] = value
  return Config.from_dict(values)


def detection(**changes: Any) -> Config:
  """Return the smallest detector's: 24 drawn scenes, a net without a neck."""
  values = {
    'num_steps': 2,
    'batch_size': 4,
    'log_every_steps': 1,
    'eval_every_steps': 2,
    'checkpoint_every_steps': 1,
    'task': {'name': 'detection', 'crop_size': (64, 96), 'max_instances': 12},
    'data': {
      'name': 'synthetic_scenes',
      'num_train_examples': 24,
      'num_eval_examples': 6,
      'executor': 'threads',
      'augment': {'flip': 0.5, 'scale': 0.2, 'mosaic': 0.3},
    },
    'model': {
      'name': 'net',
      'backbone': {'name': 'densenet_compact', 'growth': 4, 'block_layers': (1, 1, 1, 1)},
      'head': {'name': 'rtmdet', 'features': 4, 'shared': False},
    },
    'codec': {'name': 'rtmdet'},
  }
  return Config.from_dict({**values, **changes})
