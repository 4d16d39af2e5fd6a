"""Sources: random access to pictures, one explicit table of names.

A source has `len(source)`, `source[i] -> Picture` (see `posejax.types`), `source.labels(i)` (the same
without `image`, so that statistics need not read pictures), and the attributes `label_space`, `name` and
`fingerprint` (a string that changes when the data do).

What stands over a source looks like one. `people.People` has an Example for each person of its pictures,
for nets that see one person a crop, and so has whatever stands over that.

Those of COCO's format have `annotations`, `category_ids`, `image_ids` and `read_image` too, which AP
needs; see `CocoSource`.
"""

from collections.abc import Callable
import dataclasses
import functools
import os
from typing import Any, Protocol

import numpy as np

from posejax.config import Config, DataConfig
from posejax.data.formats import own_skeleton
from posejax.data.sources import coco_file, mixture, svhn
from posejax.data.sources.cache import Cached
from posejax.data.sources.classes import OnlyClasses
from posejax.data.sources.over import OverSource
from posejax.data.sources.people import People
from posejax.data.synthetic.digits import SyntheticDigits
from posejax.data.synthetic.people import SyntheticPeople
from posejax.data.synthetic.scenes import SyntheticScenes
from posejax.errors import PosejaxError, nearest
from posejax.labels import LabelSpace
from posejax.skeletons import SKELETONS, Skeleton
from posejax.types import Example, Picture

_DRAWN = ('synthetic_people', 'synthetic_scenes')
"""What configs begin with where nobody names a data set."""
_COCO_SPLITS = {'train': 'train2017', 'eval': 'val2017'}


class Source(Protocol):
  """What every data set looks like to the rest of the system."""

  name: str
  label_space: LabelSpace
  fingerprint: str

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Picture | Example: ...

  def labels(self, index: int) -> Picture | Example:
    """Return entry `index` without its picture."""
    ...


View = Callable[[Source], Source]
"""What looks at a source of pictures otherwise: a cache, its people."""


class CocoSource(Source, Protocol):
  """A source whose results can be measured by COCO's AP."""

  annotations: str | None
  """Path of a COCO-format file with everybody on the pictures, crowds included; None without one."""
  category_ids: tuple[Any, ...]
  """Of the annotations that count, by label."""
  image_ids: tuple[Any, ...]
  """Pictures that there are, those without people included."""

  def read_image(self, image_id: Any) -> bytes | np.ndarray:
    """Return the picture of one of `image_ids`, as `image` of a Picture is."""
    ...


def has_annotations(source: Source) -> bool:
  """Return whether a source is a `CocoSource` with a file of everybody on its pictures."""
  return getattr(source, 'annotations', None) is not None


@dataclasses.dataclass(frozen=True)
class First(OverSource):
  """The first `num_examples` entries of a source: of its pictures, or of its people.

  Over people of COCO's format `image_ids` are the pictures with nobody left out. People before them on
  a picture that was cut are examples still, but AP does not count that picture.
  """

  num_examples: int

  @property
  def fingerprint(self) -> str:
    """The underlying source's fingerprint and the limit."""
    return f'{self.source.fingerprint}[:{self.num_examples}]'

  @functools.cached_property
  def image_ids(self) -> tuple[Any, ...]:
    """Pictures with people, all of whom are among the first."""
    if len(self) == len(self.source):
      return self.source.image_ids
    ids = [self.source.labels(i)['image_id'] for i in range(len(self) + 1)]
    return tuple(dict.fromkeys(i for i in ids if i != ids[-1]))

  def __len__(self) -> int:
    return min(self.num_examples, len(self.source))

  def __getitem__(self, index: int) -> Picture | Example:
    if not 0 <= index < len(self):
      raise IndexError(f'example {index} of {len(self)}')
    return self.source[index]


def _synthetic_people(config: DataConfig, split: str, seed: int) -> Source:
  del config  # drawn people need no files
  return SyntheticPeople(split=split, seed=seed)


def _synthetic_scenes(config: DataConfig, split: str, seed: int) -> Source:
  del config  # drawn scenes need no files
  return SyntheticScenes(split=split, seed=seed)


def _synthetic_digits(config: DataConfig, split: str, seed: int) -> Source:
  del config  # drawn digits need no files
  return SyntheticDigits(split=split, seed=seed)


def _svhn(extra: bool, config: DataConfig, split: str, seed: int) -> Source:
  del seed  # nothing is drawn
  config = config.of(split)
  return svhn.create(config.manual_dir, config.data_dir, split, extra)


def _coco_file(config: DataConfig, split: str, seed: int) -> Source:
  del seed  # nothing is drawn
  one_file = config.is_parted
  config, training = config.of(split), config.of('train')
  if not config.annotations:
    raise PosejaxError(
      "config.data.name='coco_file' needs config.data.annotations (a COCO-format file) and "
      'config.data.images (the folder of its pictures).'
    )
  skeleton = own_skeleton.read(config.skeleton) if config.skeleton else None
  two_files = split == 'eval' and training.annotations and not one_file
  if two_files and coco_file.has_keypoints(config.annotations):
    # What was inferred or estimated from the training annotations holds for both.
    skeleton = coco_file.read_skeleton(training.annotations, skeleton)
  own = functools.partial(
    coco_file.CocoFile, config.annotations, config.images, skeleton, on_error=config.on_error
  )
  return own(part=split) if one_file else own()


def _coco_instances(config: DataConfig, split: str, seed: int) -> Source:
  del seed  # nothing is drawn
  config, pictures = config.of(split), _COCO_SPLITS[split]
  annotations = os.path.join(config.manual_dir, 'annotations', f'instances_{pictures}.json')
  images = os.path.join(config.manual_dir, pictures)
  if not (os.path.isfile(annotations) and os.path.isdir(images)):
    raise PosejaxError(
      f"config.data.name='coco_instances' needs config.data.manual_dir, COCO 2017 as its authors ship "
      f'it, got {config.manual_dir!r}: there must be {annotations} and {images}/.'
    )
  return coco_file.CocoFile(annotations, images, on_error=config.on_error)


def _prepared(name: str, config: DataConfig, split: str, seed: int) -> Source:
  del seed  # nothing is drawn
  config = config.of(split)
  from posejax.data.sources import prepared  # imports tensorflow_datasets: a second

  return prepared.Prepared(name, split, config.manual_dir, config.data_dir, config.on_error)


def _mixture(config: DataConfig, split: str, seed: int, view: View) -> Source:
  config = config.of(split)
  parts, mappings, repeats = [], [], []
  for label, options in config.parts.items():
    options = {'name': label, **options}
    keypoints, repeat = options.pop('keypoints', {}), options.pop('repeat', 1)
    if not options.pop('evaluate', True):
      if split == 'eval':
        continue
      # Nothing of its file is kept to evaluate on.
      own = {key: options.pop(key) for key in ('annotations', 'images') if key in options}
      options['train'] = {**own, **options.get('train', {})}
    mappings.append(keypoints)
    repeats.append(repeat if split == 'train' else 1)
    inherited = {'manual_dir': config.manual_dir, 'data_dir': config.data_dir}
    inherited |= {'on_error': config.on_error}
    part = Config.from_dict({'data': {**inherited, **options}}).data
    parts.append(_create(part, split, seed, view))
  if not parts:
    raise PosejaxError(
      "config.data.name='mixture' needs data sets in config.data.parts: {name: its keys, …}, and one of "
      'them to evaluate on.'
    )
  skeleton = parts[0].label_space.skeleton
  if config.skeleton:
    skeleton = own_skeleton.read(config.skeleton)
  if skeleton is not None and not isinstance(skeleton, Skeleton):
    raise PosejaxError(
      f"config.data.name='mixture' needs a known skeleton in config.data.skeleton, got the file "
      f'{config.skeleton!r}. Known: {sorted(SKELETONS)}.'
    )
  return mixture.Mixture(parts, skeleton, mappings, repeats)


SOURCES: dict[str, Callable[[DataConfig, str, int], Source]] = {
  'synthetic_people': _synthetic_people,
  'synthetic_scenes': _synthetic_scenes,
  'synthetic_digits': _synthetic_digits,
  'svhn': functools.partial(_svhn, False),
  'svhn_extra': functools.partial(_svhn, True),
  'coco_file': _coco_file,
  'coco_instances': _coco_instances,
  **{
    name: functools.partial(_prepared, name)
    for name in ('coco', 'lsp', 'lspet', 'mpii', 'panoptic')
  },
}
"""What `config.data.name` may be, beside a 'mixture' of these."""


def create(config: DataConfig, split: str, seed: int = 0, *, cached: bool = False) -> Source:
  """Return the pictures of the data set that `config` names, or that its `annotations` are.

  Args:
    config: `name` and what that source needs (folders, files). `num_train_examples` and
      `num_eval_examples` count pictures.
    split: 'train' or 'eval'.
    seed: of data that are drawn rather than read.
    cached: keep decoded pictures in memory once they were read.

  Raises:
    PosejaxError: no source has that name (the nearest is named), or its data are missing or
      inconsistent.
  """
  return _create(config, split, seed, Cached if cached else lambda source: source)


def create_people(config: DataConfig, split: str, seed: int = 0, *, cached: bool = False) -> Source:
  """Return the people of the data set that `config` names, an Example each.

  Arguments and errors are those of `create`, but `num_train_examples` and `num_eval_examples` count
  people, and pictures without keypoints or without anybody are refused.
  """
  return _create(config, split, seed, lambda source: People(Cached(source) if cached else source))


def once(config: DataConfig) -> DataConfig:
  """Return the section without the repeats of a mixture's parts, which are of training: all once."""

  def of(values: dict[str, Any]) -> dict[str, Any]:
    parts = values.get('parts', {})
    return values | {'parts': {name: {**part, 'repeat': 1} for name, part in parts.items()}}

  splits = {
    split: of(own) for split in ('train', 'eval') if 'parts' in (own := getattr(config, split))
  }
  return dataclasses.replace(config, **of({'parts': config.parts}), **splits)


def _create(config: DataConfig, split: str, seed: int, view: View) -> Source:
  """Return what `config` names; `view` is applied to each source of pictures that it is made of."""
  own = config.of(split)
  name = own.name
  if own.annotations:
    if name not in (*_DRAWN, 'coco_file'):
      raise PosejaxError(
        f'config.data.annotations and config.data.name={name!r} name two data sets; leave one of them '
        "out, or join them with config.data.name='mixture'."
      )
    name = 'coco_file'
  if name == 'mixture' and own.classes:
    raise PosejaxError(
      f"config.data.classes={own.classes} are of one source; with config.data.name='mixture' set "
      'config.data.parts.<name>.classes.'
    )
  if name == 'mixture':
    source = _mixture(config, split, seed, view)
  elif name in SOURCES:
    source = SOURCES[name](config, split, seed)
    source = view(OnlyClasses(source, own.classes) if own.classes else source)
  else:
    raise PosejaxError(
      f'config.data.name={name!r} is not a data set.' + nearest(name, [*SOURCES, 'mixture'])
    )
  limit = config.num_train_examples if split == 'train' else config.num_eval_examples
  return source if limit is None else First(source, limit)
