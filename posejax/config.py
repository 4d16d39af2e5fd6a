"""Every key of a configuration, its type, default and meaning.

`configs/` builds `ml_collections.ConfigDict`s from these dataclasses, so that flags can override
them; `Config.from_dict` turns the result back. Everything below `main.py` sees plain dataclasses.

Sections typed `Options` (`model`, `codec`, `loss`, `data.augment`) hold a `name` or nothing, and the
keyword arguments of what that name stands for; they are checked where it is constructed.
"""

import dataclasses
import json
from typing import Any

from posejax import options
from posejax.errors import PosejaxError, nearest
from posejax.options import Options


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """Where examples come from and how they become batches."""

  name: str = 'synthetic_people'
  """A name of `posejax.data.sources.SOURCES`."""
  manual_dir: str = ''
  """Folder that holds a public data set as its authors ship it; it is prepared from there once."""
  data_dir: str = ''
  """Where prepared data sets are kept; TFDS's habit ($TFDS_DATA_DIR, ~/tensorflow_datasets) if empty."""
  annotations: str = ''
  """A COCO-format file, in place of drawn `name`s; a tenth is held out unless `eval` has its own."""
  images: str = ''
  """Folder of the pictures that `annotations` names."""
  skeleton: str = ''
  """Of `annotations` or `parts`: a known one's name, or a JSON file (`formats.own_skeleton`)."""
  classes: tuple[str, ...] = ()
  """Of the source's classes those to learn and to count, by name; all where empty."""
  parts: Options = dataclasses.field(default_factory=dict)
  """With name='mixture': name of a data set -> its own keys of this section, and `keypoints`."""
  on_error: str = 'raise'
  """A picture that is missing or broken: 'raise' names it, 'skip' leaves it out, counted."""
  train: Options = dataclasses.field(default_factory=dict)
  """Keys of the source (those above) that differ for the examples to train on."""
  eval: Options = dataclasses.field(default_factory=dict)
  """Keys of the source (those above) that differ for the examples to evaluate on."""
  num_train_examples: int | None = None
  """Use only the first so many training examples (all where unset)."""
  num_eval_examples: int | None = None
  """Use only the first so many evaluation examples (all where unset)."""
  cache: bool = False
  """Keep decoded pictures in memory once they were read; for data that fit there."""
  augment: Options = dataclasses.field(default_factory=dict)
  """Fields of `transforms.augment.Augmentation`, or `name` of a preset and fields that differ."""
  executor: str = 'tfdata'
  """Makes batches ahead of the step: 'tfdata', 'threads', 'processes' (a `cache` each). Same bytes."""
  num_workers: int = 2
  """Batches prepared in parallel, per process."""
  prefetch: int = 2
  """Finished batches held ready, per process."""

  @property
  def is_parted(self) -> bool:
    """Whether both splits are of one COCO-format file, of which a tenth is held out to evaluate on."""
    return bool(self.annotations) and 'annotations' not in {**self.train, **self.eval}

  def of(self, split: str) -> 'DataConfig':
    """Return the section as it is for one split, 'train' or 'eval'.

    Raises:
      PosejaxError: the split has keys that are not of a source.
    """
    own = getattr(self, split)
    for key in own:
      if key not in _SOURCE_KEYS:
        raise PosejaxError(
          f'config.data.{split}.{key} is not a key of a source.' + nearest(key, _SOURCE_KEYS)
        )
    values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
    return options.from_dict(
      DataConfig, {**values, 'train': {}, 'eval': {}, **own}, f'config.data.{split}'
    )


_SOURCE_KEYS = (
  'name', 'manual_dir', 'data_dir', 'annotations', 'images', 'skeleton', 'classes', 'parts', 'on_error',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class InputsConfig:
  """What the net expects of a picture; belongs to its weights."""

  mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
  """Per channel in [0, 1], in the net's order. The default is ImageNet's, RGB, as in torchvision."""
  std: tuple[float, float, float] = (0.229, 0.224, 0.225)
  """Per channel in [0, 1], in the net's order."""
  channels: str = 'rgb'
  """'rgb' or 'bgr': the order in which the net sees the channels."""


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """How parameters move."""

  name: str = 'adam'
  """'adam', 'adamw', 'lamb' or 'muon' (both Adam for all but kernels), or 'sgd'."""
  learning_rate: float = 1e-3
  """Peak learning rate, for batches of `reference_batch_size`."""
  reference_batch_size: int | None = None
  """The learning rate follows batch_size / reference_batch_size (not where unset)."""
  batch_scaling: str = 'linear'
  """How it follows: 'linear' (SGD), 'sqrt' (Adam and its like)."""
  max_learning_rate: float | None = None
  """What it is capped at, however large the batch (not capped where unset)."""
  schedule: str = 'cosine'
  """'constant', 'cosine', 'step' or 'plateau'."""
  schedule_steps: int | None = None
  """Steps over which the schedule is laid out; the first run's num_steps where unset."""
  warmup_steps: int = 0
  """Steps of linear warm-up from zero."""
  final_fraction: float = 0.0
  """What a cosine schedule ends at, as a fraction of the peak."""
  step_boundaries: tuple[float, ...] = (0.6429, 0.8571)
  """Fractions of schedule_steps at which 'step' lowers the rate by step_factor (90 and 120 of 140)."""
  step_factor: float = 0.1
  """What 'step' and 'plateau' multiply the learning rate by."""
  plateau_metric: str = ''
  """The evaluation metric that 'plateau' watches; the one of `best_metric` where empty."""
  plateau_patience: int = 5
  """Evaluations without improvement before 'plateau' lowers the rate."""
  plateau_min_scale: float = 1e-3
  """'plateau' does not go below this fraction of the rate."""
  momentum: float = 0.9
  """Of 'sgd'."""
  nesterov: bool = False
  """Of 'sgd': look ahead by the momentum."""
  b1: float = 0.9
  """Of Adam."""
  b2: float = 0.999
  """Of Adam."""
  weight_decay: float = 0.0
  """'adamw', 'lamb', 'muon': decoupled; 'adam' and 'sgd': added to the gradient (L2). Kernels only."""
  clip_norm: float | None = None
  """Largest global norm of the gradient (not clipped where unset)."""
  ema_decay: float | None = None
  """Decay of the moving average of the parameters, which is evaluated when on (off where unset)."""
  lr_scales: Options = dataclasses.field(default_factory=dict)
  """Module, or pattern (`posejax.train.optim.lr_scales`) -> factor of its learning rate; 0 freezes."""


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
  """How predictions are taken for measuring."""

  batch_size: int | None = None
  """Examples per evaluation batch over all devices; batch_size where unset."""
  detections: str = ''
  """A person detector's boxes on the main set, COCO's result JSON; annotated ones where empty."""


@dataclasses.dataclass(frozen=True)
class EarlyStoppingConfig:
  """When to stop before num_steps."""

  metric: str = ''
  """The evaluation metric to watch; the one of `best_metric` where empty."""
  patience: int = 0
  """Stop after so many evaluations without improvement (0: never)."""


@dataclasses.dataclass(frozen=True)
class MeshConfig:
  """How devices share the work beside splitting the batch."""

  state: int = 1
  """Neighbours that hold one copy of the training state between them; 1: each holds all of it."""


EVERY = ('log_every_steps', 'eval_every_steps', 'checkpoint_every_steps')


@dataclasses.dataclass(frozen=True)
class Config:
  """One experiment, completely."""

  task: Options = dataclasses.field(default_factory=lambda: {'name': 'pose'})
  """`name` of `posejax.experiment.TASKS`, and its settings: `tasks.pose.options`, and the like."""
  seed: int = 0
  """Root of all randomness: initialisation, order of examples, augmentation, dropout."""
  num_steps: int = 1000
  """Optimiser steps. May be raised to continue a finished run."""
  batch_size: int = 32
  """Examples per step over all devices of all processes."""
  microbatches: int = 1
  """A device computes its share of a batch in so many parts: less memory, and still one update."""
  dtype: str = 'float32'
  """Compute type: 'float32' or 'bfloat16'. Parameters and batch-norm statistics stay float32."""
  reduce_dtype: str = 'float32'
  """Type in which devices average gradients: 'float32' or, half as many bytes, 'bfloat16'."""
  mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
  parallel: str = 'jit'
  """`model.bn_group_size` where unset. 'pmap': 'device'; 'jit': by how many devices there are."""
  log_every_steps: int = 20
  """Training metrics are averaged over so many steps and written once."""
  eval_every_steps: int = 200
  """Steps between evaluations; the last step is always evaluated."""
  checkpoint_every_steps: int = 200
  """Steps between checkpoints; the last step and every new best are always written."""
  best_metric: str = ''
  """The evaluation metric whose best checkpoint is kept; the task's `main_metric` where empty."""
  best_mode: str = ''
  """'max' or 'min'; what `best_metric` asks for where empty."""
  init_from: str = ''
  """What to start from (`posejax.train.start`): a run's work directory, or a published net's name."""
  init_fresh: tuple[str, ...] = ()
  """Modules (patterns, as in `lr_scales`) that start anew, whatever `init_from` has in their place."""
  data: DataConfig = dataclasses.field(default_factory=DataConfig)
  inputs: InputsConfig = dataclasses.field(default_factory=InputsConfig)
  model: Options = dataclasses.field(default_factory=dict)
  """`name` of `posejax.models.NAMES`, its keyword arguments, and `init_from`: a published backbone."""
  codec: Options = dataclasses.field(default_factory=dict)
  """`name` of `posejax.codecs.CODECS` and its keyword arguments."""
  loss: Options = dataclasses.field(default_factory=dict)
  """`name` of the task's losses and its keyword arguments."""
  optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
  evaluate: EvaluateConfig = dataclasses.field(default_factory=EvaluateConfig)
  evaluations: Options = dataclasses.field(default_factory=dict)
  """Further sets: name -> keys of `data` that differ, `detections`. Metrics are `<name>/<metric>`."""
  early_stopping: EarlyStoppingConfig = dataclasses.field(default_factory=EarlyStoppingConfig)

  def __post_init__(self):
    for key in ('num_steps', 'batch_size', 'microbatches', *EVERY):
      _check_positive(key, getattr(self, key))
    _check_positive('mesh.state', self.mesh.state)
    _check_choice('dtype', self.dtype, ('float32', 'bfloat16'))
    _check_choice('reduce_dtype', self.reduce_dtype, ('float32', 'bfloat16'))
    _check_choice('parallel', self.parallel, ('jit', 'pmap'))
    _check_choice('optimizer.batch_scaling', self.optimizer.batch_scaling, ('linear', 'sqrt'))
    _check_choice('best_mode', self.best_mode, ('', 'max', 'min'))
    _check_choice('inputs.channels', self.inputs.channels, ('rgb', 'bgr'))
    _check_choice('data.executor', self.data.executor, ('tfdata', 'threads', 'processes'))
    _check_choice('data.on_error', self.data.on_error, ('raise', 'skip'))
    _check_positive('data.num_workers', self.data.num_workers)
    if self.data.prefetch < 0:
      raise PosejaxError(f'config.data.prefetch={self.data.prefetch} must be at least 0.')
    if self.evaluate.batch_size is not None:
      _check_positive('evaluate.batch_size', self.evaluate.batch_size)
    self.data.of('train')
    self.evaluation_data()

  @property
  def model_options(self) -> Options:
    """What `posejax.models.create` takes of `model`: all but where its weights start from."""
    return {key: value for key, value in self.model.items() if key != 'init_from'}

  def evaluation_data(self) -> dict[str, DataConfig]:
    """Return name -> `data` of every set to evaluate on; the main one, first, is called 'eval'.

    `evaluate.detections` are boxes on the pictures of the main set; of another one they are its own
    `detections`, beside the keys of `data` (`detections_on`).

    Raises:
      PosejaxError: a set has no keys, or unknown ones.
    """
    self.data.of('eval')
    found = {'eval': self.data}
    for name, own in self.evaluations.items():
      if not isinstance(own, dict) or name in found:
        raise PosejaxError(
          f'config.evaluations.{name}={own!r} must be a name other than "eval" with keys of config.data.'
        )
      own = {key: value for key, value in own.items() if key != 'detections'}
      section = f'config.evaluations.{name}'
      options.from_dict(DataConfig, own, section)
      source = {key: value for key, value in own.items() if key in _SOURCE_KEYS}
      other = {key: value for key, value in own.items() if key not in _SOURCE_KEYS}
      # A data set by name, beside one's own file as the main one.
      if source.get('name', 'coco_file') != 'coco_file' and self.data.of('eval').annotations:
        source = {'annotations': '', 'images': '', 'skeleton': '', **source}
      values = {**dataclasses.asdict(self.data), **other, 'eval': {**self.data.eval, **source}}
      found[name] = options.from_dict(DataConfig, values, section)
    return found

  def detections_on(self, name: str) -> str:
    """Return the file of a detector's boxes on a set of `evaluation_data`; empty for annotated ones."""
    own = self.evaluations.get(name)
    return self.evaluate.detections if own is None else own.get('detections', '')

  @classmethod
  def from_dict(cls, values: dict[str, Any]) -> 'Config':
    """Build from nested dictionaries; JSON's lists are taken as tuples.

    Raises:
      PosejaxError: a key is unknown (the nearest known one is named) or a value has a wrong type.
    """
    return options.from_dict(cls, values, 'config')

  def to_dict(self) -> dict[str, Any]:
    """Return nested plain dictionaries, ready for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(self)))


def resolve(config: Config) -> Config:
  """Fill in what a first run decides for good: the steps its schedule is laid out over."""
  if config.optimizer.schedule_steps is not None:
    return config
  optimizer = dataclasses.replace(config.optimizer, schedule_steps=config.num_steps)
  return dataclasses.replace(config, optimizer=optimizer)


def _check_positive(key: str, value: int):
  if value < 1:
    raise PosejaxError(f'config.{key}={value} must be at least 1.')


def _check_choice(key: str, value: str, choices: tuple[str, ...]):
  if value not in choices:
    raise PosejaxError(
      f'config.{key}={value!r} must be one of {choices}.' + nearest(value, choices)
    )
