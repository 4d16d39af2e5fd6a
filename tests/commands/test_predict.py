"""`posejax predict`: the options, the words printed, the exit codes."""

import io
import json
import os
import re
import shutil

import cv2
import pytest

from posejax import cli
from posejax.data.synthetic.film import DrawnFilm
from posejax.infer.frames import cameras
from posejax.infer.frames.films import FilmReader
from tests.infer import finder
from tests.infer.frames import drawn
from tests.infer.test_annotate import TIMES, Interrupting, scene


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path):
  """Two pictures of people and where they are."""
  os.mkdir('in')
  rows = []
  for number in (3, 4):
    frame = DrawnFilm(number, 1, (120, 200), people=2)[0]
    cv2.imwrite(f'in/{number:06d}.jpg', frame['image'][..., ::-1])
    for x1, y1, x2, y2 in frame['boxes'].tolist():
      rows.append({'image_id': number, 'bbox': [x1, y1, x2 - x1, y2 - y1], 'score': 0.9})
  with open('boxes.json', 'w') as file:
    json.dump(rows, file)
  return rows


def predict(capsys, *words):
  code = cli.main(['predict', *words])
  captured = capsys.readouterr()
  return code, captured.out, captured.err


def entries(path='predictions/predictions.json'):
  with open(path) as file:
    return json.load(file)


def test_pictures_with_boxes_by_a_run(capsys, pictures, tiny_run):
  words = ['in', '--boxes=boxes.json', f'--workdir={tiny_run}', '--checkpoint=latest']
  code, output, _ = predict(capsys, *words, '--csv')
  assert code == 0
  assert f'{tiny_run}: pose_densenet_compact, step 2, PCK@0.20/torso 0.' in output
  assert '; XLA' in output
  assert f'2 pictures or frames, {len(pictures)} found' in output
  assert 'predictions.json' in output
  assert len(entries()) == len(pictures)
  assert {entry['image_id'] for entry in entries()} == {3, 4}
  assert sorted(os.listdir('predictions')) == [
    '000003.jpg',
    '000004.jpg',
    'predictions.csv',
    'predictions.json',
  ]


def test_a_broken_picture_is_told_of_and_the_exit_code_tells(capsys, pictures, tiny_run):
  with open('in/000003b.jpg', 'wb') as file:
    file.write(b'no picture')
  code, output, errors = predict(capsys, 'in', f'--workdir={tiny_run}', '--out=there')
  assert code == 1
  assert errors.count('Left out: ') == 1
  assert '000003b.jpg' in errors
  assert '2 pictures or frames' in output
  assert len(entries('there/predictions.json')) == 2


def test_the_newest_run_and_a_list_on_standard_input(capsys, pictures, tiny_run, monkeypatch):
  shutil.copytree(tiny_run, 'runs/one')
  monkeypatch.setattr('sys.stdin', io.StringIO('in/000004.jpg\n\nin/000003.jpg\n'))
  code, output, _ = predict(capsys, '-', '--no_overlays')
  assert code == 0
  assert output.startswith('runs/one: ')
  assert [entry['image_id'] for entry in entries()] == [4, 3]


def test_a_threshold_decides_what_is_shown(capsys, pictures, tiny_run):
  for threshold, name in (('0.999', 'none'), ('0', 'all')):
    words = ['in', '--boxes=boxes.json', f'--workdir={tiny_run}', f'--threshold={threshold}']
    assert predict(capsys, *words, f'--out={name}')[0] == 0
  none, everything = (cv2.imread(f'{name}/000003.jpg') for name in ('none', 'all'))
  assert (none != everything).any()
  assert entries('none/predictions.json') == entries('all/predictions.json')


def test_ctrl_c_tells_what_is_there(capsys, tmp_path, monkeypatch):
  drawn.film('film.mp4', TIMES, image_fn=scene)
  net = Interrupting(finder.predictor(), 4)
  monkeypatch.setattr('posejax.commands.net_options.predictor', lambda arguments: net)
  code, output, errors = predict(capsys, 'film.mp4')
  assert code == 130
  assert '3 pictures or frames, 3 found' in output
  assert 'Written to predictions: film.mp4, film.json.' in output
  assert errors.endswith('Interrupted.\n')
  assert len(entries('predictions/film.json')) == 3


def test_an_unplugged_camera_is_told_of_and_what_it_saw_is_kept(capsys, monkeypatch):
  # No machine for tests has a camera to unplug: a film's end is the same to OpenCV.
  film = drawn.film('seen.mp4', TIMES, image_fn=scene)
  monkeypatch.setattr(
    'posejax.infer.frames.cameras.open_camera',
    lambda number: cameras.CameraReader(cv2.VideoCapture(film), f'camera:{number}'),
  )
  monkeypatch.setattr('posejax.commands.net_options.predictor', lambda _: finder.predictor())
  code, output, errors = predict(capsys, 'camera:0')
  assert code == 1
  faults = [line for line in errors.splitlines() if 'Left out' in line]
  (fault,) = faults
  frames = int(re.search(r'camera:0: the camera gives no more frames, after (\d+)\. ', fault)[1])
  assert 1 <= frames <= len(TIMES)
  assert f'{frames} pictures or frames, ' in output
  assert 'Written to predictions: camera-0.mp4, camera-0.json.' in output
  assert {entry['image_id'] for entry in entries('predictions/camera-0.json')} <= set(range(frames))
  with FilmReader('predictions/camera-0.mp4') as written:
    assert sum(1 for _ in written) == frames


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['in/nothing.jpg'], 'in/nothing.jpg: there is no such file'),
    (['in', '--max_frames=0'], '--max_frames=0 must be at least 1'),
    (['in', '--boxes=none.json'], 'none.json: cannot be read'),
    (['in', '--out=in'], 'lies in the folder to write to'),
    (['in', '--workdir=nowhere'], "no run at 'nowhere'"),
    (['in', '--checkpoint=last'], '--checkpoint=last must be'),
    (['in', '--threshold=20'], '--threshold=20.0 must be from 0 to 1'),
    (
      ['in', '--workdir=net.safetensors', '--checkpoint=4'],
      "--checkpoint=4 is a run's, and net.saf",
    ),
    (
      ['in', '--workdir=', '--checkpoint=4'],
      "--checkpoint=4 is a run's, and there is none in runs/",
    ),
  ],
)
def test_wrong_use_is_one_sentence(capsys, pictures, tiny_run, words, message):
  if not any(word.startswith('--workdir') for word in words):
    words = [*words, f'--workdir={tiny_run}']
  code, _, errors = predict(capsys, *words)
  assert code == 2
  assert message in errors
  assert errors.startswith('Error: ')
  assert errors.count('\n') == 1


def test_a_box_outside_its_picture_is_told_of(capsys, pictures, tiny_run):
  with open('wrong.json', 'w') as file:
    rows = [{'image_id': 3, 'bbox': [500, 2, 9, 5]}, {'image_id': 4, 'bbox': [50, 2, 60, 90]}]
    json.dump(rows, file)
  code, _, errors = predict(capsys, 'in', '--boxes=wrong.json', f'--workdir={tiny_run}')
  assert code == 1
  assert [entry['image_id'] for entry in entries()] == [4]
  assert 'Left out: in/000003.jpg: the box [500.0, 2.0, 509.0, 7.0]' in errors
  assert 'lies outside the picture of 200x120 pixels' in errors
