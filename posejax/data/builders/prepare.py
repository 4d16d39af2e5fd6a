"""Prepare a public data set from its authors' files, once, and find what was prepared."""

import contextlib
import io
import logging
import os
import shutil
import time

import tensorflow_datasets as tfds

from posejax.data.builders import BUILDERS, PeopleBuilder, lock
from posejax.errors import PosejaxError, is_disk_full

_LOG = logging.getLogger(__name__)


def prepare(
  name: str,
  manual_dir: str = '',
  data_dir: str = '',
  on_error: str = 'raise',
  download: bool = False,
) -> PeopleBuilder:
  """Return the builder of a data set that is prepared, preparing it first where it is not.

  Preparation either finishes or leaves nothing: it writes into a folder `incomplete.*` that is renamed
  at its end, and what a killed one left is swept before the next begins. A lock keeps two processes
  from preparing the same set at once; the second says for whom it waits, and finds it prepared.

  Args:
    name: one of `BUILDERS`.
    manual_dir: folder with the authors' files.
    data_dir: where prepared sets are kept; TFDS's default where empty.
    on_error: 'raise' or 'skip', for pictures that are missing or broken.
    download: fetch the authors' files where `manual_dir` is empty.

  Raises:
    PosejaxError: the set is neither prepared nor to be prepared (the message says which files go
      where), its files are inconsistent, or it was prepared from other annotations than those in
      `manual_dir`.
  """
  builder = BUILDERS[name](
    manual_dir=manual_dir, on_error=on_error, data_dir=os.path.expanduser(data_dir) or None
  )
  if manual_dir:
    builder.annotation_files(manual_dir)  # complains about what is missing before anything is done
  if not is_prepared(builder) and not manual_dir and not (download and builder.DOWNLOADS):
    raise PosejaxError(missing_message(name, builder))
  ensure(builder, manual_dir)
  return builder


def ensure(builder: tfds.core.DatasetBuilder, manual_dir: str = '') -> None:
  """Prepare a builder's data set where it is not, from `manual_dir` or by its own download."""
  if is_prepared(builder):
    return
  folder = os.path.dirname(str(builder.data_path))
  os.makedirs(folder, exist_ok=True)
  with lock.held(folder, f'which prepares {builder.name}'):
    sweep(folder)
    if not is_prepared(builder):
      _prepare(builder, manual_dir)


def missing_message(name: str, builder: PeopleBuilder) -> str:
  """Return what to do about a data set that is not there."""
  fetch = f'\n  posejax data prepare {name} --download' if builder.DOWNLOADS else ''
  folder, older = os.path.dirname(str(builder.data_path)), ''
  if found := [name for name in _names_in(folder) if name[:1].isdigit()]:
    older = (
      f' (It needs version {builder.version}; {", ".join(sorted(found))} in {folder} can be removed once '
      'that is there.)'
    )
  return (
    f'Data set {name!r} is not prepared in {builder.data_dir}.{older} Fetch it from {builder.HOMEPAGE}, '
    f'so that a folder DIR holds\n  {builder.LAYOUT}\nand run the same command with '
    f'--config.data.manual_dir=DIR, or one of\n  posejax data prepare {name} --manual_dir=DIR{fetch}\n'
    'Drawn people need no files: --config.data.name=synthetic_people.'
  )


def _names_in(folder: str) -> list[str]:
  return os.listdir(folder) if os.path.isdir(folder) else []


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
  """Return whether a builder's data set is there."""
  # The builder's own method warns where it says no.
  return os.path.isfile(os.path.join(str(builder.data_path), 'dataset_info.json'))


def _prepare(builder: PeopleBuilder, manual_dir: str) -> None:
  folder = str(builder.data_path)
  if os.path.exists(folder):
    raise PosejaxError(
      f'{folder} is no prepared data set (it has no dataset_info.json). Remove it, and run again.'
    )
  _LOG.warning('Preparing %s in %s.', builder.name, folder)
  began = time.monotonic()
  try:
    # Its words about sizes unknown to it are not worth reading; progress goes to stderr.
    with contextlib.redirect_stdout(io.StringIO()):
      builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir or None)
      )
  except Exception as error:  # of a full disk, array_record raises a RuntimeError
    if is_disk_full(error):
      raise PosejaxError(
        f'The disk of {folder} is full; nothing half-prepared was left. Make room, or set '
        'config.data.data_dir to a larger disk.'
      ) from error
    raise
  if not manual_dir:
    _LOG.warning('The downloads in %s/downloads are no longer needed.', builder.data_dir_root)
  number = sum(split.num_examples for split in builder.info.splits.values())
  seconds = time.monotonic() - began
  _LOG.warning('Prepared %d pictures in %.1f s, %.0f a second.', number, seconds, number / seconds)


def sweep(folder: str) -> list[str]:
  """Remove what killed preparations left in a data set's folder; return the paths.

  Call it with the folder's lock held: then every `incomplete.*` is a dead one's.
  """
  stale = [entry.path for entry in os.scandir(folder) if entry.name.startswith('incomplete.')]
  for path in stale:
    _LOG.warning('Removing %s, left by a preparation that was killed.', path)
    shutil.rmtree(path, ignore_errors=True)
  return stale
