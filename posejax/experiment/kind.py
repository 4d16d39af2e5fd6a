"""What an experiment of some task is built by."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn

from posejax.config import Config
from posejax.data.sources import Source
from posejax.labels import LabelSpace
from posejax.tasks import Evaluator, Task


class Kind(NamedTuple):
  """How the experiments of one task are built.

  Attributes:
    source: `(config.data, 'train' or 'eval', seed, cached=)`: a data set as the task sees it, by its
      pictures or its people; see `posejax.data.sources`.
    labels: `source to train on -> LabelSpace`; refuses a source that the task cannot learn from.
    build: `(config, labels) -> (net, task)`; needs no data.
    evaluation: `(config, task, source to train on, source) -> (source as it is evaluated, evaluator)`.
  """

  source: Callable[..., Source]
  labels: Callable[[Source], LabelSpace]
  build: Callable[[Config, LabelSpace], tuple[nn.Module, Task]]
  evaluation: Callable[[Config, Task, Source, Source], tuple[Source, Evaluator]]
