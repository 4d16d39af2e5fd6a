"""What an experiment of some task is built by."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn

from posejax.config import Config
from posejax.data.sources import Source
from posejax.labels import LabelSpace
from posejax.tasks import Evaluator, Task
from posejax.tasks.net import OutputsFn

EvaluateOn = Callable[[Source, str], tuple[Source, Evaluator]]


class Kind(NamedTuple):
  """How the experiments of one task are built.

  Attributes:
    source: `(config.data, 'train' or 'eval', seed, cached=)`: a data set as the task sees it, by its
      pictures or its people; see `posejax.data.sources`.
    labels: `source to train on -> LabelSpace`; refuses a source that the task cannot learn from.
    build: `(config, labels, outputs) -> (net, task)`; needs no data. `outputs` tells what a net that is
      only to be used outputs; None where it is to learn.
    evaluations: `(config, task, source to train on) -> evaluate_on`, where `evaluate_on(source,
      detections) -> (source as it is evaluated, evaluator)` for each set; `detections` is the path of a
      detector's boxes on it, or empty.
  """

  source: Callable[..., Source]
  labels: Callable[[Source], LabelSpace]
  build: Callable[[Config, LabelSpace, OutputsFn | None], tuple[nn.Module, Task]]
  evaluations: Callable[[Config, Task, Source], EvaluateOn]
