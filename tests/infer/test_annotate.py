"""Pictures, films and lists through a net into a folder; whatever is broken, the rest is there."""

import csv
import json
import os
import signal
import struct
import subprocess
import threading
import time

import cv2
import numpy as np
from pycocotools import coco
import pytest

from posejax.errors import PosejaxError
from posejax.infer import annotate, box_files
from posejax.infer.frames import inputs
from posejax.infer.frames.decoding import read_picture
from posejax.infer.frames.films import FilmReader
from tests.infer import finder
from tests.infer.frames import drawn
from tests.web import beacons

HW = (120, 160)
BOX = np.array([50, 8, 100, 112])  # of the figure below
TIMES = [0.0, 0.04, 0.1, 0.14, 0.2, 0.22, 0.3, 0.34]


@pytest.fixture(scope='module')
def predictor():
  return finder.predictor()


def figure(step=0):
  return beacons.figure(70 + 2 * step, 14, 90)


def scene(step=0):
  return beacons.paint(HW, [figure(step)], radius=3)


def write_scene(path, step=0):
  os.makedirs(os.path.dirname(path), exist_ok=True)
  cv2.imwrite(str(path), scene(step)[..., ::-1])
  return str(path)


def run(predictor, words, out, **options):
  found = inputs.expand([str(word) for word in words])
  return annotate.annotate(found, predictor, annotate.Options(str(out), **options))


def read_json(path):
  with open(path) as file:
    return json.load(file)


def points_of(entry):
  return np.array(entry['keypoints']).reshape(-1, 3)[:, :2]


@pytest.fixture
def folder(tmp_path):
  """Three pictures named by numbers, and a broken one among them."""
  for number in (1, 2, 10):
    write_scene(tmp_path / 'in' / f'{number:012d}.png', number)
  (tmp_path / 'in' / '000000000005.jpg').write_bytes(b'\xff\xd8\xff no picture')
  return tmp_path / 'in'


def test_a_folder_with_a_broken_picture(predictor, folder, tmp_path, capsys):
  out = tmp_path / 'out'
  summary = run(predictor, [folder], out)
  assert (summary.frames, summary.people, summary.interrupted) == (3, 3, False)
  (fault,) = summary.faults
  assert '000000000005.jpg' in fault
  entries = read_json(out / 'predictions.json')
  assert [entry['image_id'] for entry in entries] == [1, 2, 10]
  for entry in entries:
    np.testing.assert_allclose(points_of(entry), figure(entry['image_id']), atol=1.5)
  names = ['000000000001.jpg', '000000000002.jpg', '000000000010.jpg', 'predictions.json']
  assert sorted(os.listdir(out)) == names
  assert sorted(os.path.basename(path) for path in summary.written) == names
  for step in (1, 2, 10):
    picture = read_picture(str(out / f'{step:012d}.jpg'))
    assert picture.shape == (*HW, 3)
    difference = np.abs(picture.astype(int) - scene(step)).mean(-1)
    assert difference[:, :20].mean() < 4 < difference[14:100, 60 + 2 * step : 80 + 2 * step].mean()
  assert 'frame/s' in capsys.readouterr().err


def test_predictions_are_read_by_pycocotools(predictor, folder, tmp_path):
  run(predictor, [folder], tmp_path / 'out', overlays=False)
  assert os.listdir(tmp_path / 'out') == ['predictions.json']
  truth = {'images': [{'id': i} for i in (1, 2, 10)], 'annotations': [], 'info': {}}
  truth['categories'] = [{'id': 1, 'name': 'person'}]
  (tmp_path / 'truth.json').write_text(json.dumps(truth))
  api = coco.COCO(str(tmp_path / 'truth.json'))
  results = api.loadRes(str(tmp_path / 'out' / 'predictions.json'))
  loaded = results.loadAnns(results.getAnnIds(imgIds=[10]))
  np.testing.assert_allclose(points_of(loaded[0]), figure(10), atol=1.5)


@pytest.mark.parametrize('form', ['results', 'annotations'])
def test_boxes_from_a_file(predictor, tmp_path, form):
  # Two people, of which a net that looks at all of the picture would find the middle.
  both = [beacons.figure(50, 14, 90), beacons.figure(150, 10, 94)]
  os.mkdir(tmp_path / 'in')
  cv2.imwrite(
    str(tmp_path / 'in' / 'two.png'), beacons.paint((120, 200), both, radius=3)[..., ::-1]
  )
  write_scene(tmp_path / 'in' / 'unlisted.png')
  boxes = [[*low, *(high - low)] for low, high in ((f.min(0), f.max(0)) for f in both)]
  rows = [
    {'image_id': 7, 'bbox': box, 'score': score, 'category_id': 1}
    for box, score in zip(boxes, (0.5, 1.0), strict=True)
  ]
  if form == 'annotations':
    images = [{'id': 7, 'file_name': 'two.png'}, {'id': 8, 'file_name': 'unlisted.png'}]
    rows[0].pop('score')
    rows.append({**rows[0], 'iscrowd': 1})
    content = {'images': images, 'annotations': rows}
  else:
    for row in rows:
      row['image_id'] = 'two.png'
    content = rows
  (tmp_path / 'boxes.json').write_text(json.dumps(content))
  found = box_files.read(str(tmp_path / 'boxes.json'))
  summary = run(predictor, [tmp_path / 'in'], tmp_path / 'out', boxes=found)
  assert (summary.frames, summary.people, summary.faults) == (2, 2, [])
  entries = read_json(tmp_path / 'out' / 'predictions.json')
  assert {entry['image_id'] for entry in entries} == {7 if form == 'annotations' else 'two.png'}
  if form == 'results':
    assert entries[0]['score'] > 1.5 * entries[1]['score']
  entries.sort(key=lambda entry: points_of(entry)[0, 0])
  for entry, truth in zip(entries, both, strict=True):
    np.testing.assert_allclose(points_of(entry), truth, atol=1.5)


def write_turned(path):
  """Write the scene as a camera held upright stores it: on its side, to be turned right by 90 degrees."""
  lying = np.ascontiguousarray(np.rot90(scene()))
  tags = b'MM\0*\0\0\0\x08\0\x01' + struct.pack('>HHIHHI', 0x0112, 3, 1, 6, 0, 0)
  exif = b'Exif\0\0' + tags
  body = cv2.imencode('.jpg', lying[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
  segment = b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif
  path.write_bytes(body[:2] + segment + body[2:])
  return lying.shape[:2]


@pytest.mark.parametrize('form', ['annotations', 'results'])
def test_boxes_on_a_turned_picture_lie_where_the_file_says(tmp_path, form):
  """Annotations lie on the pixels as they are stored, and so do the poses; results lie upright."""
  os.mkdir(tmp_path / 'in')
  h, w = write_turned(tmp_path / 'in' / '7.jpg')
  assert read_picture(str(tmp_path / 'in' / '7.jpg')).shape == (*HW, 3)
  expected = figure()
  if form == 'annotations':
    # A quarter turn to the left: (x, y) -> (y, W - 1 - x).
    expected = np.stack([expected[:, 1], HW[1] - 1 - expected[:, 0]], -1)
  low, high = expected.min(0), expected.max(0)
  row = {'id': 1, 'image_id': 7, 'category_id': 1, 'bbox': [*low, *(high - low)]}
  images = [{'id': 7, 'file_name': '7.jpg', 'height': h, 'width': w}]
  content = {'images': images, 'annotations': [row]} if form == 'annotations' else [row]
  (tmp_path / 'boxes.json').write_text(json.dumps(content))
  found = box_files.read(str(tmp_path / 'boxes.json'))
  summary = run(finder.predictor(), [tmp_path / 'in'], tmp_path / 'out', boxes=found)
  assert summary.faults == []
  (entry,) = read_json(tmp_path / 'out' / 'predictions.json')
  np.testing.assert_allclose(points_of(entry), expected, atol=1.5)
  assert read_picture(str(tmp_path / 'out' / '7.jpg')).shape[:2] == (
    (h, w) if form == 'annotations' else HW
  )


def test_boxes_of_other_pictures_are_refused_and_ones_outside_left_out(predictor, folder, tmp_path):
  row = {'image_id': 999, 'category_id': 1, 'bbox': [50, 8, 50, 104], 'score': 1.0}
  path = tmp_path / 'boxes.json'
  path.write_text(json.dumps([row]))
  with pytest.raises(PosejaxError, match=r'none of its 1 boxes is on one of the 4 .* as 1\.'):
    run(predictor, [folder], tmp_path / 'out', boxes=box_files.read(str(path)))
  assert not (tmp_path / 'out' / 'predictions.json').exists()
  outside = {**row, 'bbox': [300, 8, 50, 104]}
  path.write_text(json.dumps([{**one, 'image_id': 1} for one in (outside, row)]))
  summary = run(predictor, [folder], tmp_path / 'out', boxes=box_files.read(str(path)))
  assert (summary.frames, summary.people) == (3, 1)
  assert any('000000000001.png: the box [300.0' in fault for fault in summary.faults)


def test_a_limit_of_frames_is_a_films(predictor, folder, tmp_path):
  film = drawn.film(tmp_path / 'film.mp4', TIMES[:4], image_fn=scene)
  summary = run(predictor, [folder, film], tmp_path / 'out', max_frames=2, overlays=False)
  assert summary.frames == 3 + 2


def test_all_pictures_of_a_command_are_in_one_file(predictor, folder, tmp_path):
  other = write_scene(tmp_path / 'other' / '000000000001.png', 4)
  run(predictor, [folder, other, tmp_path / 'other'], tmp_path / 'out', overlays=False)
  assert os.listdir(tmp_path / 'out') == ['predictions.json']
  entries = read_json(tmp_path / 'out' / 'predictions.json')
  assert [entry['image_id'] for entry in entries] == [1, 2, 10, other]


def test_boxes_are_for_pictures(predictor, tmp_path):
  film = drawn.film(tmp_path / 'film.mp4', TIMES, image_fn=scene)
  boxes = box_files.BoxFile('boxes.json', {}, {}, True)
  with pytest.raises(PosejaxError, match='film.mp4: boxes of boxes.json are of pictures'):
    run(predictor, [film], tmp_path / 'out', boxes=boxes)


def test_a_table(predictor, folder, tmp_path):
  run(predictor, [folder], tmp_path / 'out', csv=True, overlays=False)
  with open(tmp_path / 'out' / 'predictions.csv') as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 3 * beacons.K
  rows = [row for row in rows if row['image'] == '10']
  assert [row['keypoint'] for row in rows] == list(beacons.LABELS.keypoints)
  np.testing.assert_allclose([[float(r['x']), float(r['y'])] for r in rows], figure(10), atol=1.5)
  assert {(r['time'], r['track_id'], r['label'], r['instance']) for r in rows} == {
    ('', '', 'person', '0')
  }


def test_a_gif_and_heatmaps(predictor, folder, tmp_path):
  run(predictor, [folder], tmp_path / 'out', gif=True, heatmaps=True)
  with FilmReader(str(tmp_path / 'out' / 'predictions.gif')) as reader:
    frames = list(reader)
  assert len(frames) == 3
  np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 0.5, atol=0.02)
  picture = read_picture(str(tmp_path / 'out' / '000000000001.jpg'))
  # Where nothing is hot, the map is dark.
  assert picture[:, :20].mean() < 0.6 * scene(1)[:, :20].mean()


def test_pictures_that_are_called_alike(predictor, tmp_path):
  for step, name in enumerate(('a/x.png', 'b/x.png', 'b/x-2.png', 'b/predictions.png')):
    write_scene(tmp_path / 'in' / name, step)
  words = [tmp_path / 'in' / 'a' / 'x.png', *sorted((tmp_path / 'in' / 'b').glob('x*.png'))]
  summary = run(predictor, [*words, tmp_path / 'in/b/predictions.png'], tmp_path / 'out')
  assert len(set(summary.written)) == len(summary.written) == 5
  assert sorted(os.listdir(tmp_path / 'out')) == sorted(map(os.path.basename, summary.written))
  ids = [entry['image_id'] for entry in read_json(tmp_path / 'out' / 'predictions.json')]
  assert len(set(ids)) == 4
  assert ids[0] == 'x.png'
  assert str(tmp_path / 'in/b/x.png') in ids


def test_a_film(predictor, tmp_path):
  film = drawn.film(tmp_path / 'film.mp4', TIMES, image_fn=scene, options={'crf': '1'})
  summary = run(predictor, [film], tmp_path / 'out', csv=True)
  assert (summary.frames, summary.faults) == (len(TIMES), [])
  assert sorted(os.listdir(tmp_path / 'out')) == ['film.csv', 'film.json', 'film.mp4']
  entries = read_json(tmp_path / 'out' / 'film.json')
  assert [entry['image_id'] for entry in entries] == list(range(len(TIMES)))
  np.testing.assert_allclose([entry['time'] for entry in entries], TIMES, atol=1e-3)
  assert {entry['track_id'] for entry in entries} == {1}
  for step, entry in enumerate(entries):
    np.testing.assert_allclose(points_of(entry), figure(step), atol=4)  # smoothed, and H.264
  with FilmReader(str(tmp_path / 'out' / 'film.mp4')) as reader:
    frames = list(reader)
  np.testing.assert_allclose([frame.time for frame in frames], TIMES, atol=1e-3)
  assert frames[0].image.shape == (*HW, 3)


def test_a_film_without_tracking_has_no_ids(predictor, tmp_path):
  film = drawn.film(tmp_path / 'film.mp4', TIMES[:3], image_fn=scene, options={'crf': '1'})
  summary = run(predictor, [film], tmp_path / 'out', track=False, overlays=False, max_frames=2)
  assert summary.frames == 2
  entries = read_json(tmp_path / 'out' / 'film.json')
  assert [('track_id' in entry, entry['image_id']) for entry in entries] == [(False, 0), (False, 1)]


def test_a_film_without_a_length(predictor, tmp_path):
  film = drawn.film(tmp_path / 'film.mkv', TIMES, image_fn=scene, container_options={'live': '1'})
  with FilmReader(film) as reader:
    assert reader.num_frames is None
  summary = run(predictor, [film], tmp_path / 'out')
  assert (summary.frames, summary.faults) == (len(TIMES), [])
  assert read_json(tmp_path / 'out' / 'film.json')[-1]['image_id'] == len(TIMES) - 1


def test_films_and_pictures_and_what_is_none_of_both(predictor, folder, tmp_path):
  film = drawn.film(tmp_path / 'film.mp4', TIMES[:3], image_fn=scene)
  text = tmp_path / 'notes.txt'
  text.write_text('nothing')
  tone = drawn.sound(tmp_path / 'tone.mp4')
  out = tmp_path / 'out'
  summary = run(predictor, [text, film, tone, folder], out)
  assert len(summary.faults) == 3
  assert summary.frames == 6
  for name in ('notes.txt', 'tone.mp4', '000000000005.jpg'):
    assert sum(name in fault for fault in summary.faults) == 1
  # Nothing half, and nothing of what could not be read.
  assert sorted(name for name in os.listdir(out) if not name.startswith('0')) == [
    'film.json',
    'film.mp4',
    'predictions.json',
  ]


def test_nothing_is_written_over_what_is_read(predictor, folder):
  before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
  for out in (folder, str(folder) + '/.', folder / '..' / 'in'):
    with pytest.raises(PosejaxError, match='lies in the folder to write to'):
      run(predictor, [folder], out)
  assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before


def test_a_folder_that_cannot_be(predictor, folder, tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(PosejaxError, match='cannot be made'):
    run(predictor, [folder], tmp_path / 'file' / 'out')


class Interrupting:
  """A predictor, during whose nth picture somebody presses Ctrl-C."""

  def __init__(self, predictor, number):
    self._predictor, self._left = predictor, number
    self.labels, self.detector, self.task = predictor.labels, predictor.detector, predictor.task

  def __call__(self, *arguments):
    self._left -= 1
    if self._left == 0:
      # A shell's background jobs start with Ctrl-C ignored, the tests' own process among them.
      signal.signal(signal.SIGINT, signal.default_int_handler)
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(0.1)
    return self._predictor(*arguments)


def test_ctrl_c_keeps_what_was_done(predictor, folder, tmp_path):
  film = drawn.film(tmp_path / 'film.mp4', TIMES, image_fn=scene)
  out = tmp_path / 'out'
  summary = run(Interrupting(predictor, 5), [film, folder], out)
  assert (summary.interrupted, summary.frames) == (True, 4)
  assert sorted(os.listdir(out)) == ['film.json', 'film.mp4']
  assert len(read_json(out / 'film.json')) == 4
  with FilmReader(str(out / 'film.mp4')) as reader:
    assert len(list(reader)) == 4
  assert not [t for t in threading.enumerate() if t.name.startswith(('reading', 'writing'))]


def test_a_full_disk_leaves_nothing_half(predictor, folder, tmp_path):
  """On a file system of 64 kB; needs the right to mount one."""
  out = tmp_path / 'out'
  out.mkdir()
  mount = ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(out)]
  if subprocess.run(mount, capture_output=True, check=False).returncode:
    pytest.skip('mounting a small file system needs root')
  try:
    film = drawn.film(
      tmp_path / 'film.mp4',
      [i / 25 for i in range(40)],
      image_fn=lambda i: np.random.default_rng(i).integers(0, 255, (*HW, 3), np.uint8),
    )
    summary = run(predictor, [film, folder], out)
    assert sum('disk or its quota is full' in fault for fault in summary.faults) >= 1
    for name in os.listdir(out):
      assert not name.startswith('.')
      assert not name.startswith('film')
  finally:
    subprocess.run(['umount', str(out)], check=True)
