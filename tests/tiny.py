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
