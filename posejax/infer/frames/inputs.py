"""What the words of a command line stand for: pictures, folders, globs, films, cameras, a list."""

from collections.abc import Iterable, Sequence
import dataclasses
import glob
import os
import re
import sys
from typing import Literal

from posejax.errors import PosejaxError
from posejax.infer.frames import cameras, films, headers
from posejax.infer.frames.frame import Reader
from posejax.infer.frames.pictures import PictureReader

# Files that are named so in a folder are meant, whatever is in them: a broken one is told of.
_PICTURE_NAMES = ('.jpg', '.jpeg', '.png', '.webp', '.gif', '.bmp', '.tif', '.tiff')
_FILM_NAMES = (
  '.mp4',
  '.m4v',
  '.mov',
  '.mkv',
  '.webm',
  '.avi',
  '.mpg',
  '.mpeg',
  '.ts',
  '.ogv',
  '.wmv',
)
_STDIN = '-'


@dataclasses.dataclass(frozen=True)
class Input:
  """One source of frames.

  Attributes:
    kind: which reader it takes.
    name: as the user gave it: a file, folder or glob, `camera:0`, 'standard input'; 'pictures' where
      several words name some.
    paths: of the files; one for a film, none for a camera.
  """

  kind: Literal['pictures', 'film', 'camera']
  name: str
  paths: tuple[str, ...] = ()


def expand(inputs: Sequence[str], lines: Iterable[str] | None = None) -> list[Input]:
  """Return what the words of a command line stand for, in their order.

  A word is a picture, a film, a folder of them (not the folders in it; in natural order, img9 before
  img10), a glob, `camera:N`, or `-` for a list of such words, a line each. What a file is, its
  bytes tell. Other files in a folder are passed over. All pictures are one input, each once, in the first
  one's place.

  Args:
    inputs: the words.
    lines: of the list that `-` stands for; standard input where None.

  Raises:
    PosejaxError: there is no such file, a folder or glob has no pictures and films, or there is nothing.
  """
  found = []
  for word in inputs:
    if word == _STDIN:
      listed = [line.strip() for line in (sys.stdin if lines is None else lines)]
      listed = [line for line in listed if line and line != _STDIN]
      items = [item for line in listed for item in _expand_word(line)]
      found += _joined(items, 'standard input')
    else:
      found += _expand_word(word)
  if not found:
    raise PosejaxError('No input: give pictures, folders, films, camera:0, or - with a list.')
  return _joined(found, 'pictures')


def open_input(source: Input, upright: bool = True) -> Reader:
  """Open a source of frames.

  Args:
    source: what `expand` gave.
    upright: whether pictures are turned as their EXIF orientation says; see `decode_picture`.

  Raises:
    PosejaxError: a film or camera cannot be opened. Broken pictures are told of by the reader.
  """
  if source.kind == 'pictures':
    return PictureReader(source.paths, source.name, upright=upright)
  if source.kind == 'film':
    return films.FilmReader(source.paths[0])
  return cameras.open_camera(int(source.name.removeprefix('camera:')))


def _expand_word(word: str) -> list[Input]:
  if word.startswith('camera:'):
    if not re.fullmatch(r'camera:[0-9]{1,3}', word):
      raise PosejaxError(f'{word}: cameras have numbers, as in camera:0.')
    return [Input('camera', word)]
  if os.path.isdir(word):
    try:
      names = os.listdir(word)
    except OSError as error:
      raise PosejaxError(f'{word}: cannot be read: {error.strerror}.') from error
    return _from_many(word, [os.path.join(word, name) for name in names], 'folder')
  if os.path.exists(word):
    # Whatever is no picture is tried as a film, which says what is wrong with it.
    return [Input('pictures' if _kind(word) == 'pictures' else 'film', word, (word,))]
  if glob.has_magic(word):
    return _from_many(word, glob.glob(word), 'glob')
  raise PosejaxError(f'{word}: there is no such file or folder (looked in {os.getcwd()}).')


def _from_many(word: str, paths: Iterable[str], what: str) -> list[Input]:
  kinds = {path: _kind(path) for path in sorted(paths, key=natural) if os.path.isfile(path)}
  pictures = tuple(path for path, kind in kinds.items() if kind == 'pictures')
  found = [Input('pictures', word, pictures)] if pictures else []
  found += [Input('film', path, (path,)) for path, kind in kinds.items() if kind == 'film']
  if not found:
    raise PosejaxError(
      f'{word}: this {what} has no pictures and no films ({len(kinds)} other files). '
      'Folders in it are not looked into.'
    )
  return found


def _kind(path: str) -> Literal['pictures', 'film'] | None:
  """Return what a file is by its bytes or, where they tell nothing, by its name."""
  try:
    with open(path, 'rb') as file:
      head = file.read(headers.HEAD_BYTES)
  except OSError:
    head = b''
  if headers.picture_format(head):
    return 'pictures'
  name = path.lower()
  if headers.is_film(head) or name.endswith(_FILM_NAMES):
    return 'film'
  return 'pictures' if name.endswith(_PICTURE_NAMES) else None


def natural(path: str) -> tuple:
  """Return a sorting key by which numbers in names count as numbers: img9 before img10."""
  parts = re.split('([0-9]+)', path)
  return [int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)], path


def _joined(found: Sequence[Input], name: str) -> list[Input]:
  """Join all pictures, under their own name where one word gave them."""
  pictures = [item for item in found if item.kind == 'pictures']
  if len(pictures) < 2:
    return list(found)
  paths = dict.fromkeys(path for item in pictures for path in item.paths)
  place = found.index(pictures[0])
  rest = [item for item in found if item.kind != 'pictures']
  return [*rest[:place], Input('pictures', name, tuple(paths)), *rest[place:]]
