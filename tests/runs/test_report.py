import glob
import json
import math
import os

import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.host_tensorflow import tf
from posejax.runs import report as reports


def events(workdir):
  """Return (step, tag) of all events, read by TensorFlow's own reader."""
  found = []
  for path in sorted(glob.glob(f'{glob.escape(str(workdir))}/tensorboard/events*')):
    for event in tf.compat.v1.train.summary_iterator(path):
      found += [(event.step, value.tag) for value in event.summary.value]
  return found


def write(workdir, resume_step, steps):
  report = reports.Report(str(workdir), resume_step, active=True)
  for step in steps:
    report.scalars(step, 'train', {'loss': 1.0 / step})
    report.picture(step, 'predictions', np.zeros((4, 6, 3), np.uint8))
  report.close()


@pytest.mark.parametrize('folder', ['plain', 'v[2]*'])
def test_no_row_and_no_event_stands_twice_after_a_resume(tmp_path, folder):
  tmp_path = tmp_path / folder
  tmp_path.mkdir()
  write(tmp_path, 0, [10, 20, 30])
  with open(tmp_path / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 40, "spl')  # what a kill leaves of a row
  (event_file,) = glob.glob(f'{glob.escape(str(tmp_path))}/tensorboard/events*')
  with open(event_file, 'ab') as file:
    file.write(b'\x07\x00\x00')  # and of an event
  write(tmp_path, 20, [30, 40])
  assert [row['step'] for row in reports.read_rows(str(tmp_path))] == [10, 20, 30, 40]
  found = events(tmp_path)
  for tag in ('train/loss', 'predictions'):
    # Sorted: files written within a second don't come in the order of their names.
    assert sorted(step for step, t in found if t == tag) == [10, 20, 30, 40]


def test_what_a_checkpoint_has_not_logged_of_its_own_step_is_dropped_too(tmp_path):
  def rows_and_tags():
    tags = [(s, t) for s, t in events(tmp_path) if s == 20]
    rows = [(r['step'], r['split']) for r in reports.read_rows(str(tmp_path))]
    return rows, sorted(t for _, t in tags), [r['step'] for r in reports.read_speeds(str(tmp_path))]

  def cut(*unlogged):
    reports.Report(str(tmp_path), 20, True, frozenset(unlogged)).close()

  report = reports.Report(str(tmp_path), 0, True)
  for step in (10, 20):
    report.scalars(step, 'train', {'loss': 1.0})
    report.speed(step, 100.0)
    report.scalars(step, 'eval', {'AUC/torso': 0.5})
    report.picture(step, 'predictions', np.zeros((4, 6, 3), np.uint8))
  report.close()
  before = rows_and_tags()
  assert [row for row in before[0] if row[0] == 20] == [(20, 'train'), (20, 'eval')]
  assert before[1] == ['eval/AUC/torso', 'predictions', 'speed/images_per_second', 'train/loss']
  cut()
  assert rows_and_tags() == before
  cut('eval')
  assert rows_and_tags() == (before[0][:3], before[1][2:], [10, 20])
  cut('train')
  assert rows_and_tags() == (before[0][:2], [], [10])


def test_rows_are_plain_json_also_where_a_value_is_not_finite(tmp_path):
  report = reports.Report(str(tmp_path), 0, active=True)
  report.scalars(1, 'eval', {'PCK@0.20/torso': math.nan, 'AUC/torso': np.float32(0.5)})
  report.close()
  row = json.loads((tmp_path / 'metrics.jsonl').read_text(), parse_constant=lambda c: 1 / 0)
  assert row == {'step': 1, 'split': 'eval', 'PCK@0.20/torso': None, 'AUC/torso': 0.5}


def test_curves_are_drawn_from_rows(tmp_path):
  report = reports.Report(str(tmp_path), 0, active=True)
  for step in (1, 2):
    report.scalars(step, 'train', {'loss': 0.1 / step, 'learning_rate': 1e-3})
  report.curves('PCK@0.20/torso')
  before = (tmp_path / 'learning_curves.png').read_bytes()
  report.scalars(2, 'eval', {'PCK@0.20/torso': 0.4, 'PCK@0.20/torso/median_pose': 0.2})
  report.curves('PCK@0.20/torso')
  assert (tmp_path / 'learning_curves.png').read_bytes() != before
  report.close()


def test_other_processes_write_nothing(tmp_path):
  report = reports.Report(str(tmp_path), 0, active=False)
  report.scalars(1, 'train', {'loss': 1.0})
  report.flush()
  report.close()
  assert not list(tmp_path.iterdir())


def test_speeds_have_a_file_of_their_own_which_a_resume_cuts_like_the_rows(tmp_path):
  for resume_step, steps in ((0, [10, 20, 30]), (20, [30, 40])):
    report = reports.Report(str(tmp_path), resume_step, active=True)
    for step in steps:
      report.speed(step, 100.0 + step + resume_step)
    report.close()
  speeds = reports.read_speeds(str(tmp_path))
  assert [(s['step'], s['images_per_second']) for s in speeds] == [
    (10, 110.0),
    (20, 120.0),
    (30, 150.0),
    (40, 160.0),
  ]
  assert all(0 < s['seconds'] < 60 for s in speeds)
  assert reports.read_rows(str(tmp_path)) == []


@pytest.mark.parametrize('damaged', ['{"step": 2, "spl', '{"split": "train"}', '\0\0\0', '7', ''])
def test_a_damaged_line_is_named(tmp_path, damaged):
  rows = ['{"step": 1, "split": "train"}', damaged, '{"step": 3, "split": "train"}']
  (tmp_path / 'metrics.jsonl').write_text('\n'.join(rows) + '\n')
  with pytest.raises(PosejaxError, match=r'metrics\.jsonl, line 2 is damaged'):
    reports.read_rows(str(tmp_path))


def test_a_line_that_is_no_text_is_named(tmp_path):
  (tmp_path / 'speed.jsonl').write_bytes(b'\xff\xfe\n')
  with pytest.raises(PosejaxError, match=r'speed\.jsonl, line 1 is damaged'):
    reports.read_speeds(str(tmp_path))


def test_rows_are_on_the_disk_before_a_checkpoint_says_so(tmp_path, monkeypatch):
  report = reports.Report(str(tmp_path), 0, active=True)
  report.scalars(1, 'train', {'loss': 1.0})
  report.speed(1, 100.0)
  synced, fsync = set(), os.fsync

  def recorded(number):
    synced.add(os.path.basename(os.readlink(f'/proc/self/fd/{number}')))
    fsync(number)

  monkeypatch.setattr(os, 'fsync', recorded)
  report.flush()
  report.close()
  assert {'metrics.jsonl', 'speed.jsonl'} <= synced
