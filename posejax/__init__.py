"""Human pose estimation in JAX/Flax: models, codecs, metrics, data, one training loop, and their use.

What users need is here: `posejax.Predictor.load(RUN)(image)`. It is imported when it is first asked for.
"""

import importlib
from typing import Any

__version__ = '0.1.0'

_PUBLIC = {
  'Instance': 'posejax.infer.results',
  'LabelSpace': 'posejax.labels',
  'PosejaxError': 'posejax.errors',
  'Predictor': 'posejax.infer.predictor',
  'Result': 'posejax.infer.results',
  'Skeleton': 'posejax.skeletons',
  'Tracker': 'posejax.infer.tracking.tracker',
  'read_picture': 'posejax.infer.frames.decoding',
}
__all__ = ['__version__', *_PUBLIC]


def __getattr__(name: str) -> Any:
  if name not in _PUBLIC:
    raise AttributeError(f'posejax has no {name!r}; it offers {", ".join(sorted(_PUBLIC))}.')
  return getattr(importlib.import_module(_PUBLIC[name]), name)
