"""Street View House Numbers, cropped digits: the authors' .mat files, or TFDS's download of them.

Source: Netzer et al., "Reading digits in natural images with unsupervised feature learning" (2011),
ufldl.stanford.edu/housenumbers, format 2.
"""

from collections.abc import Sequence
import contextlib
import hashlib
import os
from typing import Any
import urllib.error
import urllib.request

import numpy as np

from posejax.data.synthetic.digits import LABEL_SPACE
from posejax.errors import PosejaxError
from posejax.types import Picture

HOMEPAGE = 'http://ufldl.stanford.edu/housenumbers'
FILES = {'train': 'train_32x32.mat', 'test': 'test_32x32.mat', 'extra': 'extra_32x32.mat'}
_SHAPE = (32, 32, 3)


class MatFiles:
  """The digits of one or more of the authors' files, one file after the other, in memory.

  Attributes:
    label_space: the digits 0 to 9.
    name: 'svhn'.
    fingerprint: of pictures and labels.
  """

  label_space = LABEL_SPACE
  name = 'svhn'

  def __init__(self, manual_dir: str, parts: Sequence[str]):
    """Read `parts` of `FILES` from `manual_dir`.

    Raises:
      PosejaxError: a file is missing or not what the authors publish.
    """
    images, labels = zip(*(_read_mat(manual_dir, part) for part in parts), strict=True)
    self._images, self._labels = np.concatenate(images), np.concatenate(labels)
    digest = hashlib.sha256(self._labels.tobytes())
    # A few hundred pictures tell two data sets apart; all of 'extra' would take seconds.
    digest.update(np.ascontiguousarray(self._images[:: max(1, len(self._images) // 500)]))
    self.fingerprint = f'{self.name}-{"+".join(parts)}-{digest.hexdigest()[:16]}'

  def __len__(self) -> int:
    return len(self._labels)

  def __getitem__(self, index: int) -> Picture:
    labels = self.labels(index)
    return {'image': self._images[index], **labels}

  def labels(self, index: int) -> Picture:
    """Return picture `index` without its image."""
    if not 0 <= index < len(self):
      raise IndexError(f'{self.fingerprint} has {len(self)} examples, asked for {index}.')
    return {'label': int(self._labels[index])}


def _read_mat(manual_dir: str, part: str) -> tuple[np.ndarray, np.ndarray]:
  """Return `(uint8 [N, 32, 32, 3], int64 [N] in 0..9)` of a file."""
  path = os.path.join(os.path.expanduser(manual_dir), FILES[part])
  if not os.path.isfile(path):
    raise PosejaxError(
      f'{path} is missing. config.data.manual_dir must hold {", ".join(FILES.values())} (the last '
      f"for data.name='svhn_extra' only), from {HOMEPAGE}."
    )
  from scipy import io  # a tenth of the package's import, needed for this data set only

  try:
    content = io.loadmat(path)
  except Exception as error:  # scipy raises what the broken bytes lead to: ValueError, TypeError, …
    raise PosejaxError(f'{path} is no .mat file that SciPy can read: {error}') from error
  pictures, labels = content.get('X'), content.get('y')
  if pictures is None or labels is None:
    found = sorted(key for key in content if not key.startswith('__'))
    raise PosejaxError(f'{path} must hold X and y, found {found}.')
  if pictures.ndim != 4 or pictures.shape[:3] != _SHAPE or pictures.dtype != np.uint8:
    raise PosejaxError(
      f'{path}: X must be uint8 of shape (32, 32, 3, N), got {pictures.dtype} {pictures.shape}.'
    )
  number = pictures.shape[3]
  if labels.size != number or not number:
    raise PosejaxError(f'{path}: y has {labels.size} labels for {number} pictures.')
  labels = labels.ravel()
  wrong = np.flatnonzero(~np.isin(labels, np.arange(1, 11)))
  if len(wrong):
    raise PosejaxError(
      f'{path}: labels must be 1 to 10 (10 is the digit zero), but label {wrong[0]} is '
      f'{labels[wrong[0]]}; {len(wrong)} of {number} are out of range.'
    )
  images = np.ascontiguousarray(np.moveaxis(pictures, 3, 0))
  return images, labels.astype(np.int64) % 10


class Downloaded:
  """The digits of one or more splits of TFDS's `svhn_cropped`, which TFDS downloads by itself.

  Attributes: as those of `MatFiles`.
  """

  label_space = LABEL_SPACE
  name = 'svhn'

  def __init__(self, data_dir: str, parts: Sequence[str]):
    """Open `parts` ('train', 'test', 'extra'), downloading and preparing the set where it is not.

    Raises:
      PosejaxError: it could not be downloaded; says what else there is.
    """
    import tensorflow_datasets as tfds  # a second, where it is needed

    from posejax.data.builders import prepare

    builder = tfds.builder(
      'svhn_cropped', data_dir=os.path.expanduser(data_dir) or None, file_format='array_record'
    )
    try:
      if not prepare.is_prepared(builder):
        _check_reachable()
      prepare.ensure(builder)
    except PosejaxError:
      raise
    except Exception as error:  # no network, a proxy, a changed checksum: TFDS and urllib have many
      raise PosejaxError(
        f'SVHN is not prepared in {builder.data_dir} and could not be downloaded: {_brief(error)}\n'
        f'Fetch {", ".join(FILES.values())} from {HOMEPAGE} into a folder and set '
        '--config.data.manual_dir to it, or train on drawn digits, which need no files: '
        '--config=configs/svhn_cnn.py:synthetic'
      ) from error
    self._parts = [builder.as_data_source(part) for part in parts]
    self._starts = np.cumsum([0] + [len(part) for part in self._parts])
    self.fingerprint = f'{self.name}-{builder.version}-{"+".join(parts)}'

  def __len__(self) -> int:
    return int(self._starts[-1])

  def __getitem__(self, index: int) -> Picture:
    if not 0 <= index < len(self):
      raise IndexError(f'{self.fingerprint} has {len(self)} examples, asked for {index}.')
    part = int(np.searchsorted(self._starts, index, side='right')) - 1
    record = self._parts[part][index - int(self._starts[part])]
    return {'image': record['image'], 'label': int(record['label'])}

  def labels(self, index: int) -> Picture:
    """Return picture `index` without its image (which is read all the same)."""
    return {'label': self[index]['label']}


def _check_reachable() -> None:
  """Raise OSError where the authors' site does not answer; TFDS would try for minutes."""
  request = urllib.request.Request(HOMEPAGE, method='HEAD')
  with contextlib.suppress(urllib.error.HTTPError):  # an answer, too
    urllib.request.urlopen(request, timeout=20).close()


def _brief(error: BaseException) -> str:
  text = ' '.join(str(error).split())
  return f'{type(error).__name__}: {text[:200]}'


def create(manual_dir: str, data_dir: str, split: str, extra: bool) -> Any:
  """Return the digits to train on ('train', with the 530,000 easier ones if `extra`) or to test on."""
  parts = ('test',) if split == 'eval' else ('train', 'extra') if extra else ('train',)
  return MatFiles(manual_dir, parts) if manual_dir else Downloaded(data_dir, parts)
