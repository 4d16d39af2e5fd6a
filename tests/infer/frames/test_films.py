import itertools
import pathlib
import sys
import threading

import cv2
import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer.frames import films
from tests.infer.frames import drawn

STEADY = [i / 25 for i in range(30)]


def read_all(path):
  with films.FilmReader(path) as reader:
    return list(reader), reader


@pytest.mark.parametrize(
  ('ending', 'codec'), [('mp4', 'libx264'), ('mkv', 'libx264'), ('webm', 'libvpx-vp9')]
)
def test_frames_times_and_colours(tmp_path, ending, codec):
  path = drawn.film(tmp_path / f'film.{ending}', STEADY, codec)
  frames, reader = read_all(path)
  assert len(frames) == len(STEADY) == reader.num_frames
  assert reader.is_film
  assert reader.fps == pytest.approx(25, rel=0.05)
  assert [frame.index for frame in frames] == list(range(30))
  assert {frame.name for frame in frames} == {path}
  np.testing.assert_allclose([frame.time for frame in frames], STEADY, atol=1e-3)
  for i, frame in enumerate(frames):
    assert frame.image.dtype == np.uint8
    assert frame.image.flags.c_contiguous
    difference = np.abs(frame.image.astype(int) - drawn.patches(i))
    assert difference.mean() < 5
  assert reader.faults == []


def test_a_variable_rate_is_kept_and_time_starts_at_0(tmp_path):
  times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.3, 40)).round(3)
  frames, _ = read_all(drawn.film(tmp_path / 'film.mp4', times + 7))
  np.testing.assert_allclose([frame.time for frame in frames], times - times[0], atol=1e-3)


def test_odd_sizes(tmp_path):
  path = drawn.film(
    tmp_path / 'film.webm', STEADY[:3], 'libvpx-vp9', lambda i: drawn.patches(i, (51, 67))
  )
  frames, _ = read_all(path)
  assert frames[0].image.shape == (51, 67, 3)
  difference = np.abs(frames[2].image.astype(int) - drawn.patches(2, (51, 67)))
  assert difference[:, -1].mean() < 12  # the last column is there, and in its place


@pytest.mark.parametrize('degrees', [90, -90, 180])
def test_rotation_flags_as_opencv_has_them(tmp_path, degrees):
  path = drawn.film(
    tmp_path / 'film.mp4', STEADY[:2], prepare=lambda stream: stream.set_display_rotation(degrees)
  )
  frames, _ = read_all(path)
  capture = cv2.VideoCapture(path)
  _, reference = capture.read()
  capture.release()
  assert frames[0].image.shape == reference.shape
  assert np.abs(frames[0].image.astype(int) - reference[..., ::-1]).max() < 12


@pytest.mark.parametrize('signs', list(itertools.product([1, -1], [1, -1])))
@pytest.mark.parametrize('swapped', [False, True])
def test_every_display_matrix_takes_corners_where_it_says(tmp_path, signs, swapped):
  one = 1 << 16
  if swapped:
    a, b, c, d = 0, signs[0], signs[1], 0
  else:
    a, b, c, d = signs[0], 0, 0, signs[1]
  matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]
  path = drawn.film(
    tmp_path / 'film.mp4', STEADY[:1], prepare=lambda stream: stream.set_display_matrix(matrix)
  )
  (frame,), _ = read_all(path)
  h, w = frame.image.shape[:2]
  assert (h, w) == (drawn.HW[::-1] if swapped else drawn.HW)
  for color, (p, q) in zip(drawn.PATCHES, [(-1, -1), (1, -1), (-1, 1), (1, 1)], strict=True):
    x, y = a * p + c * q, b * p + d * q
    found = frame.image[h // 2 + y * h // 3, w // 2 + x * w // 3]
    assert np.abs(found.astype(int) - color).max() < 25, (color, found)


def test_pixels_become_square(tmp_path):
  def wide(stream):
    stream.codec_context.sample_aspect_ratio = 2

  frames, _ = read_all(drawn.film(tmp_path / 'film.mkv', STEADY[:2], prepare=wide))
  assert frames[0].image.shape[:2] == (drawn.HW[0], 2 * drawn.HW[1])


@pytest.mark.parametrize(
  ('ending', 'codec'), [('mp4', 'libx264'), ('mkv', 'libx264'), ('webm', 'libvpx-vp9')]
)
def test_a_broken_frame_is_left_out_and_told_of(tmp_path, ending, codec):
  path = drawn.film(tmp_path / f'film.{ending}', STEADY, codec, options={'g': '5'})
  data = bytearray(pathlib.Path(path).read_bytes())
  position, size = drawn.packets(path)[13]
  noise = np.random.default_rng(0).integers(0, 256, size - 8, dtype=np.uint8)
  data[position + 6 : position + size - 2] = noise.tobytes()
  pathlib.Path(path).write_bytes(data)
  frames, reader = read_all(path)
  assert 1 <= reader.num_broken <= 5
  assert 30 - 5 <= len(frames) < 30
  assert path in reader.faults[0]
  assert str(reader.num_broken) in reader.faults[0]
  # Those behind it are there, at their own times.
  assert frames[-1].time == pytest.approx(STEADY[-1], abs=1e-3)
  assert np.abs(frames[-1].image.astype(int) - drawn.patches(29)).mean() < 5
  assert [frame.index for frame in frames] == list(range(len(frames)))


def test_a_film_that_breaks_off_gives_what_is_there(tmp_path):
  path = drawn.film(
    tmp_path / 'film.mp4',
    STEADY,
    options={'g': '3'},
    container_options={'movflags': 'faststart'},
  )
  data = pathlib.Path(path).read_bytes()
  pathlib.Path(path).write_bytes(data[: len(data) * 4 // 5])
  frames, reader = read_all(path)
  assert 15 < len(frames) < 30
  assert f'{len(frames)} of the 30 in its header' in reader.faults[0]


def test_a_film_without_a_length(tmp_path):
  path = drawn.film(tmp_path / 'film.h264', STEADY)
  frames, reader = read_all(path)
  assert reader.num_frames is None
  assert len(frames) == 30
  assert (np.diff([frame.time for frame in frames]) > 0).all()


def test_time_never_goes_back(tmp_path):
  """Two transport streams one after the other: the clock starts anew in the middle."""
  parts = [drawn.film(tmp_path / f'{i}.ts', [t + 5 * (1 - i) for t in STEADY]) for i in range(2)]
  joined = tmp_path / 'joined.ts'
  joined.write_bytes(b''.join(pathlib.Path(part).read_bytes() for part in parts))
  frames, _ = read_all(str(joined))
  times = np.array([frame.time for frame in frames])
  assert len(frames) >= 55
  assert (np.diff(times) > 0).all()
  assert times[-1] < 4


@pytest.mark.parametrize(
  ('content', 'says'),
  [
    (b'', '0 bytes'),
    (b'no film at all\n' * 50, 'film.mp4'),
    (bytes(range(256)) * 40, 'film.mp4'),
  ],
)
def test_no_film(tmp_path, content, says):
  path = tmp_path / 'film.mp4'
  path.write_bytes(content)
  with pytest.raises(PosejaxError, match=says) as raised:
    films.FilmReader(str(path))
  assert str(path) in str(raised.value)


def test_frames_without_their_index(tmp_path):
  path = drawn.film(tmp_path / 'film.mp4', STEADY, options={'g': '5'})
  data = pathlib.Path(path).read_bytes()
  pathlib.Path(path).write_bytes(data[: len(data) // 3])
  with pytest.raises(PosejaxError, match='film.mp4'):
    films.FilmReader(path)


def test_a_missing_film(tmp_path):
  with pytest.raises(PosejaxError, match='No such file'):
    films.FilmReader(str(tmp_path / 'film.mp4'))


def test_without_pyav(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'av', None)
  with pytest.raises(PosejaxError, match=r"pip install 'posejax\[video\]'"):
    films.FilmReader(str(tmp_path / 'film.mp4'))


def test_sound_only(tmp_path):
  with pytest.raises(PosejaxError, match='no pictures.*audio only'):
    films.FilmReader(drawn.sound(tmp_path / 'sound.mp4'))


def test_frames_too_large(tmp_path):
  path = drawn.film(tmp_path / 'film.mp4', STEADY[:2])
  with pytest.raises(PosejaxError, match='96x64'):
    films.FilmReader(path, max_pixels=1000)


def test_closing_early_ends_the_thread(tmp_path):
  path = drawn.film(tmp_path / 'film.mp4', STEADY)
  before = threading.active_count()
  with films.FilmReader(path) as reader:
    next(reader)
    assert threading.active_count() > before
  assert threading.active_count() == before
  reader.close()
  with pytest.raises(StopIteration):
    next(reader)


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_memory_is_flat_over_2000_frames(tmp_path):
  path = drawn.film(
    tmp_path / 'film.mp4',
    [i / 50 for i in range(2000)],
    image_fn=lambda i: drawn.patches(i, (128, 192)),
    options={'preset': 'ultrafast'},
  )
  sizes = []
  with films.FilmReader(path) as reader:
    for frame in reader:
      if frame.index % 200 == 199:
        pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
        sizes.append(pages * 4096)
  # A frame is 74 kB, so that 1,600 kept ones would be 118 MB.
  assert sizes[-1] - sizes[1] < 8e6
