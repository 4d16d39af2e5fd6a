"""Task 'everybody': the poses of all people on a picture, by MoveNet MultiPose as it was published."""

import dataclasses
from functools import partial

import flax.linen as nn

from posejax import models
from posejax.config import Config, from_options
from posejax.data import sources
from posejax.data.transforms import fitting
from posejax.errors import PosejaxError
from posejax.experiment.kind import EvaluateOn, Kind
from posejax.labels import LabelSpace
from posejax.tasks import Task, net
from posejax.tasks.pose import everybody


@dataclasses.dataclass(frozen=True)
class EverybodyOptions:
  """What `config.task` has beside its name.

  Attributes:
    crop_size: (H, W) that pictures are fitted into, multiples of 32.
    box_padding: how much more than a box is shown where one is to be looked into.
  """

  crop_size: tuple[int, int]
  box_padding: float = 1.25


def _build(config: Config, labels: LabelSpace) -> tuple[nn.Module, Task]:
  options = from_options('task', config.task, EverybodyOptions)
  model = models.create(
    **{
      'num_keypoints': labels.skeleton.num_keypoints,
      'dtype': config.dtype,
      **config.model_options,
    }
  )
  task = everybody.create(
    model=model,
    labels=labels,
    input_size=options.crop_size,
    normalize_fn=partial(net.normalize, **dataclasses.asdict(config.inputs)),
    view=partial(fitting.view, size=options.crop_size, padding=options.box_padding),
    box_padding=options.box_padding,
  )
  return model, task


def _evaluations(config: Config, task: Task, train_source: sources.Source) -> EvaluateOn:
  del config, task, train_source
  raise PosejaxError(
    "config.task.name='everybody' is neither trained nor evaluated; `posejax predict` uses it."
  )


KIND = Kind(sources.create, lambda source: source.label_space, _build, _evaluations)
