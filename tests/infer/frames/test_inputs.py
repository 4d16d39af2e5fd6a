import os
import pathlib
import shutil

import cv2
import numpy as np
import pytest

from posejax import draw
from posejax.errors import PosejaxError
from posejax.infer.frames import inputs
from posejax.infer.frames.films import FilmReader
from posejax.infer.frames.pictures import PictureReader
from tests.infer.frames import drawn


@pytest.fixture(name='folder')
def folder_fixture(tmp_path, monkeypatch):
  """A folder with pictures, a film, other files and a folder, which is the current one."""
  folder = tmp_path / 'holiday'
  folder.mkdir()
  for name in ('img10.png', 'img9.png', 'IMG1.jpg'):
    draw.save(str(folder / name), drawn.patches(int(name[3:-4])))
  shutil.copy(folder / 'img9.png', folder / 'no ending')
  (folder / 'empty.jpg').touch()
  (folder / 'notes.txt').write_text('no picture')
  drawn.film(folder / 'film.mp4', [0, 0.04])
  os.rename(folder / 'film.mp4', folder / 'film')
  (folder / 'inner').mkdir()
  draw.save(str(folder / 'inner' / 'a.png'), drawn.patches())
  monkeypatch.chdir(tmp_path)
  return folder


def names(source):
  return [os.path.basename(path) for path in source.paths]


def test_a_folder_in_natural_order(folder):
  pictures, film = inputs.expand(['holiday'])
  assert (pictures.kind, pictures.name) == ('pictures', 'holiday')
  assert names(pictures) == ['empty.jpg', 'IMG1.jpg', 'img9.png', 'img10.png', 'no ending']
  assert (film.kind, names(film)) == ('film', ['film'])


def test_a_glob(folder):
  (pictures,) = inputs.expand(['holiday/img*.png'])
  assert names(pictures) == ['img9.png', 'img10.png']
  with pytest.raises(PosejaxError, match=r'holiday/\*\.webp: this glob has no pictures'):
    inputs.expand(['holiday/*.webp'])


def test_a_name_with_brackets_is_a_file_first(folder):
  shutil.copy(folder / 'img9.png', 'a[1].png')
  (picture,) = inputs.expand(['a[1].png'])
  assert picture == inputs.Input('pictures', 'a[1].png', ('a[1].png',))


def test_words_in_their_order_and_all_pictures_together(folder):
  words = ['holiday/film', 'holiday/img10.png', 'holiday/*9.png', 'camera:0', 'holiday/img10.png']
  assert inputs.expand([*words, 'holiday/inner']) == [
    inputs.Input('film', 'holiday/film', ('holiday/film',)),
    inputs.Input(
      'pictures', 'pictures', ('holiday/img10.png', 'holiday/img9.png', 'holiday/inner/a.png')
    ),
    inputs.Input('camera', 'camera:0'),
  ]


def test_a_list(folder):
  lines = ['holiday/img9.png\n', '\n', ' holiday/IMG1.jpg ', 'holiday/film']
  pictures, film = inputs.expand(['-'], lines)
  assert pictures == inputs.Input(
    'pictures', 'standard input', ('holiday/img9.png', 'holiday/IMG1.jpg')
  )
  assert film.kind == 'film'


@pytest.mark.parametrize(
  ('words', 'says'),
  [
    (['holiday', 'none.jpg'], r'none\.jpg: there is no such file'),
    (['camera:x'], 'camera:0'),
    (['bare'], r'bare: this folder has no pictures and no films \(1 other'),
    ([], 'No input'),
    (['-'], 'No input'),
  ],
)
def test_what_is_not_there_is_named(folder, words, says):
  os.mkdir('bare')
  pathlib.Path('bare/notes.txt').touch()
  with pytest.raises(PosejaxError, match=says):
    inputs.expand(words, lines=[])


def test_reading_goes_on_after_a_broken_picture(folder):
  pictures, film = inputs.expand(['holiday'])
  with inputs.open_input(pictures) as reader:
    assert isinstance(reader, PictureReader)
    assert not reader.is_film
    assert reader.num_frames == 5
    frames = list(reader)
  assert [os.path.basename(frame.name) for frame in frames] == names(pictures)[1:]
  assert [(frame.index, frame.time) for frame in frames] == [(i, float(i)) for i in range(4)]
  np.testing.assert_array_equal(frames[2].image, drawn.patches(10))
  assert reader.num_broken == 1
  assert reader.faults == [str(reader.faults[0])]
  assert 'empty.jpg' in reader.faults[0]
  with inputs.open_input(film) as reader:
    assert isinstance(reader, FilmReader)
    assert len(list(reader)) == 2


def test_a_file_that_is_neither(folder):
  (source,) = inputs.expand(['holiday/notes.txt'])
  with pytest.raises(PosejaxError, match=r'notes\.txt: neither a picture nor a film'):
    inputs.open_input(source)


def test_pictures_of_films_are_no_films(folder):
  """A phone's HEIC has the container of MP4; the sentence names the format."""
  (folder / 'phone.heic').write_bytes(b'\0\0\0\x18ftypheic' + bytes(64))
  (source,) = inputs.expand(['holiday/phone.heic'])
  with inputs.open_input(source) as reader:
    assert list(reader) == []
  assert 'HEIC' in reader.faults[0]


def test_opencv_tells_the_same_picture(folder):
  (source,) = inputs.expand(['holiday/img9.png'])
  with inputs.open_input(source) as reader:
    frame = next(reader)
  np.testing.assert_array_equal(frame.image, cv2.imread('holiday/img9.png')[..., ::-1])
