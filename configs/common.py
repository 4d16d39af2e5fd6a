"""What the configs share: the defaults as a ConfigDict, their argument, the public data sets."""

from collections.abc import Callable
import dataclasses
import types
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import ml_collections
from ml_collections import config_dict

from posejax.config import Config
from posejax.errors import PosejaxError, nearest

DRAWN = 'synthetic_people'


class _DataSet(NamedTuple):
  """What a public data set asks of any heatmap net.

  Attributes:
    crop_size: (H, W) in pixels.
    num_people: to train on.
    augment: as `config.data.augment`.
  """

  crop_size: tuple[int, int]
  num_people: int
  augment: dict[str, Any]


_MPII_AUGMENT = {'name': 'none', 'flip': 0.5, 'rotation': 30.0, 'scale': 0.25}
DATA_SETS = {
  # Source: experiments/coco/resnet50/256x192_d256x3_adam_lr1e-3.yaml of
  # microsoft/human-pose-estimation.pytorch; people of train2017 with keypoints.
  'coco': _DataSet((256, 192), 149_813, {'name': 'msra'}),
  # Source: experiments/mpii/resnet50/256x256_d256x3_adam_lr1e-3.yaml there; people of annot/train.json.
  'mpii': _DataSet((256, 256), 22_246, _MPII_AUGMENT),
  # No published recipe trains a heatmap net on LSPET alone; this is MPII's. Nine tenths of 10,000.
  'lspet': _DataSet((256, 256), 9_000, _MPII_AUGMENT),
  # No published recipe either. How many people there are depends on which recordings were fetched;
  # so many are taken for an epoch.
  'panoptic': _DataSet((224, 224), 100_000, _MPII_AUGMENT),
}
"""Arguments of the pose configs, `configs/x.py:coco`."""


def get_default() -> ml_collections.ConfigDict:
  """Return every key of `posejax.config.Config` with its default, typed for overrides by flags."""
  return _to_config_dict(Config)


def _to_config_dict(cls: type) -> ml_collections.ConfigDict:
  config, hints = ml_collections.ConfigDict(), get_type_hints(cls)
  for field in dataclasses.fields(cls):
    hint = hints[field.name]
    if dataclasses.is_dataclass(hint):
      config[field.name] = _to_config_dict(hint)
      continue
    default = field.default
    if default is dataclasses.MISSING:
      default = ml_collections.ConfigDict(field.default_factory())
    if default is None:
      # A plain None could not be overridden by a flag.
      default = config_dict.placeholder(_optional_type(hint))
    config[field.name] = default
  return config


def _optional_type(hint: Any) -> type:
  assert get_origin(hint) in (Union, types.UnionType)
  (inner,) = [h for h in get_args(hint) if h is not type(None)]
  return inner


def parse_arg(arg: str | None, **known: Any) -> ml_collections.ConfigDict:
  """Parse a config's argument, `configs/x.py:smoke,depth=50`.

  Args:
    arg: what follows the colon.
    **known: names and defaults. A name alone means True; values take their default's type.

  Raises:
    PosejaxError: an unknown name (the nearest is told) or a value of another type.
  """
  known = {'smoke': False, **known}
  parsed = ml_collections.ConfigDict(known)
  for part in filter(None, (arg or '').split(',')):
    name, equals, value = part.partition('=')
    if name not in known:
      raise PosejaxError(f'{part!r} is not an argument of this config.' + nearest(name, known))
    kind = type(known[name])
    try:
      parsed[name] = kind(value) if equals and kind is not bool else value.lower() != 'false'
    except ValueError:
      raise PosejaxError(
        f'Argument {part!r} of this config must be of type {kind.__name__}.'
      ) from None
  return parsed


def data_set_arguments() -> dict[str, bool]:
  """Return what `parse_arg` should know for a config that takes a data set."""
  return dict.fromkeys(DATA_SETS, False)


def published(config: ml_collections.ConfigDict, arg: ml_collections.ConfigDict) -> str | None:
  """Train a net of published size: by `use_data_set`, or as long as drawn people teach it something.

  Args:
    config: set: source, crop, augmentation, schedule.
    arg: from `parse_arg`, which was told `data_set_arguments()`.

  Returns:
    The data set's name, or None where people are drawn.
  """
  config.num_steps = 20_000
  config.batch_size = 32
  config.eval_every_steps = 1000
  config.checkpoint_every_steps = 1000
  config.task.crop_size = (256, 192)
  config.data.augment = {'name': 'msra'}
  config.optimizer.learning_rate = 1e-3
  config.optimizer.reference_batch_size = 128
  config.optimizer.schedule = 'step'
  return use_data_set(config, arg)


def use_data_set(
  config: ml_collections.ConfigDict, arg: ml_collections.ConfigDict, batch_size: int = 128
) -> str | None:
  """Train on the public data set that the argument names, by the published recipe for heatmap nets.

  That is Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking" (ECCV 2018): 140
  epochs of batches of 128 with Adam at 1e-3, times 0.1 at 90 and 120 epochs. (Their weights start
  from ImageNet's.)

  With `:smoke` the data set is read where `config.data.manual_dir` is given, else people are drawn.

  Args:
    config: set: source, crop, augmentation, schedule.
    arg: from `parse_arg`, which was told `data_set_arguments()` or some of them.
    batch_size: of the epochs; the learning rate follows it from 128.

  Returns:
    The data set's name, or None where the argument has none.

  Raises:
    PosejaxError: it names two.
  """
  chosen = [name for name in DATA_SETS if arg.get(name)]
  if not chosen:
    return None
  if len(chosen) > 1:
    raise PosejaxError(
      f'{" and ".join(chosen)} are two data sets; name one, or join them with '
      "config.data.name='mixture'."
    )
  (name,) = chosen
  data_set = DATA_SETS[name]
  config.data.name = name
  if arg.smoke:
    draw_without_files(config, DRAWN)
  config.task.crop_size = data_set.crop_size
  config.data.augment = data_set.augment
  config.batch_size = batch_size
  epoch = data_set.num_people // config.batch_size
  config.num_steps = 140 * epoch
  config.eval_every_steps = 5 * epoch
  config.checkpoint_every_steps = epoch
  config.optimizer.learning_rate = 1e-3
  config.optimizer.reference_batch_size = 128
  config.optimizer.schedule = 'step'
  config.optimizer.step_boundaries = (90 / 140, 120 / 140)
  return name


def finetune_movenet(config: ml_collections.ConfigDict, variant: str) -> None:
  """Start from published weights; set what thousands of people and an hour on two CPU cores allow."""
  config.init_from = f'movenet_{variant}'
  # Published is 1.8: in crops of one person in any attitude the heatmaps know better than the regression.
  config.codec.reach = 16.0
  # As wide as other nets' heatmaps, of 4 pixels a cell: marks by hand are no surer.
  config.codec.sigma = 2.0
  config.num_steps = 4000
  config.batch_size = 16
  config.log_every_steps = 50
  config.eval_every_steps = 250
  config.checkpoint_every_steps = 250
  config.evaluate.batch_size = 50
  config.data.augment = {'name': 'msra', 'rotation': 60.0, 'rotation_probability': 0.8}
  config.optimizer.learning_rate = 1e-3
  config.optimizer.reference_batch_size = 16
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 100
  config.optimizer.clip_norm = 10.0
  config.optimizer.ema_decay = 0.998
  # Adam moves every value by about the learning rate, and the published kernels, norms folded in, differ
  # in size: the median is 0.002 and 0.0012 in two of the neck, 0.05 in the backbone and 0.8 in the heads.
  # What the first layers see is the same for every skeleton, and half of a step's time is theirs.
  config.optimizer.lr_scales = {
    'backbone': 0.05,
    'backbone/conv1': 0,
    'backbone/block[0-5]': 0,
    'head/*/final': 3,
    'neck': 0.5,
    'neck/pointwise_c4': 0.003,
    'neck/pointwise_c3': 0.05,
    'neck/pointwise_c2': 0.002,
  }


def draw_without_files(config: ml_collections.ConfigDict, drawn: str) -> None:
  """Take the source `drawn` in place of the config's unless `config.data.manual_dir` is given.

  That is known only when the flags were read, which is after the config was made.
  """
  name = config.data.name
  config.data.name = config_dict.FieldReference(
    config.data.get_ref('manual_dir'), op=_Later(lambda folder: name if folder else drawn, ())
  )


def replace_annotated(config: ml_collections.ConfigDict, **values: Any) -> None:
  """Give keys of `config.data` other values where `config.data.annotations` replaces what is drawn."""
  annotations = config.data.get_ref('annotations')
  for key, value in values.items():
    later = _Later(lambda drawn, path, other=value: other if path else drawn, (annotations,))
    config.data[key] = config_dict.FieldReference(config.data[key], op=later)


class _Later(NamedTuple):
  """What a `FieldReference` does when its value is asked for."""

  fn: Callable[[Any], Any]
  args: tuple


def small(config: ml_collections.ConfigDict) -> None:
  """Set what minutes on two CPU cores are enough for: crops of drawn people, batches, the schedule."""
  config.num_steps = 6000
  config.batch_size = 16
  config.log_every_steps = 100
  config.eval_every_steps = 1000
  config.checkpoint_every_steps = 500
  config.evaluate.batch_size = 64
  config.task.crop_size = (96, 64)
  config.data.augment = {'name': 'none', 'flip': 0.5}
  # Drawing shares two cores with training: draw so many people once and keep them (500 MB).
  config.data.num_train_examples = 8192
  config.data.cache = True
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 100


def drawn_scenes(config: ml_collections.ConfigDict) -> None:
  """Set what a light detector learns from on two CPU cores, drawn scenes, varied, and by what."""
  config.data.name = 'synthetic_scenes'
  config.data.augment = {
    'name': 'none',
    'flip': 0.5,
    'scale': 0.25,
    'shift': 0.1,
    'shift_probability': 0.5,
    'color': 0.5,
    'brightness': 0.2,
    'contrast': 0.2,
    'saturation': 0.3,
    'hue': 0.02,
  }
  # Drawing shares two cores with training: draw so many scenes once and keep them (300 MB).
  config.data.num_train_examples = 2048
  config.data.cache = True
  # Whoever brings pictures has them all learnt from, and perhaps not the memory.
  replace_annotated(config, num_train_examples=None, cache=False)
  # By AdamW at 1e-3 Keypoint R-CNN's loss of keypoints after 150 steps is 6.95, by Muon 6.79; at 0.02 it
  # does not fall. RTMDet's AP after 500 steps is 0.09 by AdamW at 2e-3, 0.50 by Muon.
  config.optimizer.name = 'muon'
  config.optimizer.b2 = 0.99
  config.optimizer.learning_rate = 5e-3
  config.optimizer.warmup_steps = 100
  config.optimizer.final_fraction = 0.02
  config.log_every_steps = 50
  config.eval_every_steps = 500
  config.checkpoint_every_steps = 500


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrink a config to two steps on a few people, to see that everything runs."""
  config.num_steps = 2
  config.batch_size = 8
  config.log_every_steps = 1
  config.eval_every_steps = 2
  config.checkpoint_every_steps = 1
  config.optimizer.warmup_steps = 0
  config.evaluate.batch_size = 8
  config.data.num_train_examples = 24
  config.data.num_eval_examples = 12
  config.task.crop_size = (64, 48)


def smoke_movenet(config: ml_collections.ConfigDict) -> None:
  """Shrink a config of MoveNet's to its head and losses: the whole net compiles for a minute."""
  smoke(config)
  config.task.crop_size = (64, 32)
  config.model = {
    'name': 'net',
    'backbone': {'name': 'densenet_compact', 'growth': 4, 'block_layers': (1, 1)},
    'head': {'name': 'movenet'},
  }
