import logging
import os
import pathlib
import sys
import threading

import av
import cv2
import numpy as np
from PIL import Image
import pytest

from posejax.errors import PosejaxError
from posejax.infer.frames import films
from posejax.infer.frames.writers import film as film_writer
from posejax.infer.frames.writers import gif as gif_writer
from posejax.infer.frames.writers import picture as picture_writer
from tests.infer.frames import drawn

WRITERS = [(film_writer.FilmWriter, 'out.mp4'), (gif_writer.GifWriter, 'out.gif')]
NOISE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize('hw', [(64, 96), (51, 67)])
def test_a_film_comes_back_as_it_was_written(tmp_path, hw):
  times = np.cumsum(np.random.default_rng(1).uniform(0.005, 0.2, 50))
  path = str(tmp_path / 'out.mp4')
  with film_writer.FilmWriter(path) as writer:
    for i, time in enumerate(times):
      writer.write(drawn.patches(i, hw), float(time))
  with films.FilmReader(path) as reader:
    frames = list(reader)
  assert len(frames) == 50 == reader.num_frames
  np.testing.assert_allclose([frame.time for frame in frames], times - times[0], atol=1e-3)
  h, w = hw
  assert frames[0].image.shape == (h + h % 2, w + w % 2, 3)
  for i, frame in enumerate(frames):
    difference = np.abs(frame.image[:h, :w].astype(int) - drawn.patches(i, hw))
    assert difference.mean() < 7  # chroma has half the resolution
    assert difference[5, 5].max() < 8  # colours, away from edges


def test_a_film_is_what_browsers_play(tmp_path):
  path = tmp_path / 'out.mp4'
  with film_writer.FilmWriter(str(path)) as writer:
    for i in range(12):
      writer.write(drawn.patches(i), i / 10)
  data = path.read_bytes()
  assert data.index(b'moov') < data.index(b'mdat')  # it plays before it is all there
  with av.open(str(path)) as container:
    (stream,) = container.streams
    assert stream.codec_context.name == 'h264'
    assert stream.codec_context.pix_fmt == 'yuv420p'
    assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
    # The last frame is shown as long as the one before it.
    assert container.duration / av.time_base == pytest.approx(1.2, abs=0.01)
  capture = cv2.VideoCapture(str(path))  # another build of FFmpeg reads it too
  ok, image = capture.read()
  capture.release()
  assert ok
  assert np.abs(image[..., ::-1].astype(int) - drawn.patches(0)).mean() < 5


def test_a_single_frame_is_a_film(tmp_path):
  path = str(tmp_path / 'out.mp4')
  with film_writer.FilmWriter(path) as writer:
    writer.write(drawn.patches(), 3.0)
  with films.FilmReader(path) as reader:
    assert len(list(reader)) == 1


def test_frames_of_other_sizes_fit_into_the_first(tmp_path):
  path = str(tmp_path / 'out.mp4')
  with film_writer.FilmWriter(path) as writer:
    writer.write(drawn.patches(0, (64, 96)), 0.0)
    writer.write(np.full((128, 64, 3), 250, np.uint8), 0.1)
  with films.FilmReader(path) as reader:
    frames = list(reader)
  light = frames[1].image.min(axis=-1) > 200
  assert frames[1].image.shape == (64, 96, 3)
  # Half as large it is 64x32, in the middle, dark at both sides.
  np.testing.assert_array_equal(np.flatnonzero(light[32])[[0, -1]], [32, 63])


def test_another_encoder_is_named(caplog):
  with caplog.at_level(logging.WARNING):
    assert film_writer.choose_encoder(['gif', 'libvpx-vp9', 'libx264']) == 'libx264'
    assert not caplog.records
    assert film_writer.choose_encoder(['gif', 'libvpx-vp9']) == 'libvpx-vp9'
  assert 'libx264' in caplog.text
  assert 'libvpx-vp9' in caplog.text
  with pytest.raises(PosejaxError, match='libopenh264'):
    film_writer.choose_encoder(['gif'])


def test_vp9_where_there_is_no_x264(tmp_path, monkeypatch):
  names = {'libvpx-vp9': film_writer.ENCODERS['libvpx-vp9']}
  monkeypatch.setattr(film_writer, 'ENCODERS', names)
  path = str(tmp_path / 'out.mp4')
  with film_writer.FilmWriter(path) as writer:
    for i in range(10):
      writer.write(drawn.patches(i), i / 30)
  assert writer.encoder == 'libvpx-vp9'
  with films.FilmReader(path) as reader:
    assert len(list(reader)) == 10


def gif_frames(path):
  frames, durations = [], []
  with Image.open(path) as image:
    assert image.format == 'GIF'
    assert image.info['loop'] == 0
    for i in range(image.n_frames):
      image.seek(i)
      frames.append(np.asarray(image.convert('RGB')))
      durations.append(image.info['duration'])
  return frames, durations


def test_a_gif_is_scaled_down_and_keeps_its_time(tmp_path):
  path = str(tmp_path / 'out.gif')
  with gif_writer.GifWriter(path, max_width=48) as writer:
    for i in range(60):
      writer.write(drawn.patches(i, (64, 97)), 5 + i / 30)
  frames, durations = gif_frames(path)
  assert frames[0].shape == (32, 48, 3)
  assert len(frames) == pytest.approx(2 * 12.5, abs=1)
  assert min(durations) >= 50
  assert sum(durations) == pytest.approx(2000, abs=60)
  expected = cv2.resize(drawn.patches(0, (64, 97)), (48, 32), interpolation=cv2.INTER_AREA)
  assert np.abs(frames[0].astype(int) - expected).mean() < 6


def test_a_gif_of_slow_pictures(tmp_path):
  path = str(tmp_path / 'out.gif')
  with gif_writer.GifWriter(path) as writer:
    for i in range(4):
      writer.write(drawn.patches(20 * i), float(i))
  frames, durations = gif_frames(path)
  assert frames[0].shape == (*drawn.HW, 3)
  assert durations == [1000] * 4
  assert np.abs(frames[3].astype(int) - drawn.patches(60)).mean() < 6


def test_each_frame_of_a_gif_has_its_own_colours(tmp_path):
  """One half stays as it is while the other, and with it the palette, changes."""
  rng = np.random.default_rng(2)
  left = cv2.resize(rng.integers(0, 256, (6, 4, 3), dtype=np.uint8), (64, 96))
  right = [cv2.resize(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8), (40, 96)) for _ in range(5)]
  images = [np.concatenate([left, image], axis=1) for image in right]
  path = str(tmp_path / 'out.gif')
  with gif_writer.GifWriter(path) as writer:
    for i, image in enumerate(images):
      writer.write(image, i / 10)
  frames, _ = gif_frames(path)
  for frame, image in zip(frames, images, strict=True):
    assert np.abs(frame.astype(int) - image).mean() < 7


@pytest.mark.parametrize(('make', 'name'), WRITERS)
def test_a_file_is_there_whole_or_not_at_all(tmp_path, make, name):
  path = tmp_path / name
  path.write_bytes(b'of before')
  before = threading.active_count()
  with pytest.raises(RuntimeError, match='of the caller'), make(str(path)) as writer:
    for i in range(5):
      writer.write(NOISE, i / 10)
    assert path.read_bytes() == b'of before'
    raise RuntimeError('of the caller')
  assert path.read_bytes() == b'of before'
  assert os.listdir(tmp_path) == [name]
  assert threading.active_count() == before
  with make(str(path)) as writer:
    writer.write(NOISE, 0.0)
  assert path.read_bytes() != b'of before'
  assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(('make', 'name'), WRITERS)
def test_nothing_written_leaves_nothing(tmp_path, make, name):
  with make(str(tmp_path / name)):
    pass
  assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != 'linux', reason='needs /dev/full')
@pytest.mark.parametrize('num_frames', [2, 100])
@pytest.mark.parametrize(('make', 'name'), WRITERS)
def test_a_full_disk_is_said(tmp_path, make, name, num_frames):
  writer = make(str(tmp_path / name))
  os.symlink('/dev/full', writer._file.temporary)
  with pytest.raises(PosejaxError, match='disk or its quota is full') as raised, writer:
    for i in range(num_frames):
      writer.write(np.roll(NOISE, 7 * i, axis=1), i / 10)
  assert str(tmp_path / name) in str(raised.value)
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(('make', 'name'), WRITERS)
def test_wrong_use_is_refused(tmp_path, make, name):
  with pytest.raises(PosejaxError, match='no folder'):
    make(str(tmp_path / 'nowhere' / name))
  (tmp_path / 'folder.mp4').mkdir()
  with pytest.raises(PosejaxError, match='folder'):
    make(str(tmp_path / 'folder.mp4'))
  with make(str(tmp_path / name)) as writer:
    writer.write(NOISE, 0.0)
    with pytest.raises(ValueError, match='after'):
      writer.write(NOISE, 0.0)
    with pytest.raises(ValueError, match='float32'):
      writer.write(NOISE.astype(np.float32), 1.0)
  with pytest.raises(ValueError, match='closed'):
    writer.write(NOISE, 2.0)
  writer.close()


@pytest.mark.parametrize('name', ['out.png', 'out.jpg'])
def test_a_picture_replaces_the_one_before(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(b'of before')
  picture_writer.write_picture(str(path), drawn.patches())
  with Image.open(path) as image:
    assert np.abs(np.asarray(image).astype(int) - drawn.patches()).mean() < 4
  assert os.listdir(tmp_path) == [name]


def test_pictures_that_cannot_be_written(tmp_path):
  with pytest.raises(PosejaxError, match='no folder'):
    picture_writer.write_picture(str(tmp_path / 'nowhere' / 'a.png'), drawn.patches())
  if sys.platform == 'linux':
    pid = os.getpid()
    os.symlink('/dev/full', tmp_path / f'.a.{pid}.png')
    with pytest.raises(PosejaxError, match='full'):
      picture_writer.write_picture(str(tmp_path / 'a.png'), NOISE)
    assert os.listdir(tmp_path) == []


def test_opencv_and_pyav_live_in_one_process(tmp_path):
  """Both bring FFmpeg's libraries, of versions of their own."""
  path = drawn.film(tmp_path / 'film.mp4', [i / 25 for i in range(20)])
  capture = cv2.VideoCapture(path)
  with films.FilmReader(path) as reader:
    for frame in reader:
      ok, image = capture.read()
      assert ok
      assert np.abs(image[..., ::-1].astype(int) - frame.image).max() < 12
  capture.release()
  assert pathlib.Path(path).stat().st_size > 0
