"""`posejax train` and `posejax eval` do what main.py does, from wherever they are called."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from posejax import cli
from posejax.commands import config_flags, experiment
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.report import read_rows

SMOKE = '--config=configs/pose_densenet.py:smoke'
QUICK = (SMOKE, '--config.data.executor=threads', '--config.num_steps=1')


@pytest.fixture
def cache(cache_dir):
  return f'--compilation_cache={cache_dir}'


def test_the_command_and_main_give_the_same_run(tmp_path, cache, monkeypatch, capsys):
  root = os.getcwd()
  done = subprocess.run(
    [sys.executable, 'main.py', *QUICK, cache, f'--workdir={tmp_path}/main'],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  # No configs/ here: the installed ones are meant, and the folder is named by the config.
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(root)
  assert cli.main(['train', *QUICK, cache]) == 0
  assert f'Results in {os.path.join("runs", "pose_densenet-smoke")}' in capsys.readouterr().out
  runs = ['main', 'runs/pose_densenet-smoke']
  jax.tree.map(np.testing.assert_array_equal, *map(checkpoint.restore, runs))
  assert read_rows(runs[0]) == read_rows(runs[1])
  assert cli.main(['eval', '--workdir=main', '--checkpoint=latest', cache]) == 0
  with open('main/eval-1.json') as file:
    measured = json.load(file)
  (logged,) = [row for row in read_rows('main') if row['split'] == 'eval']
  assert measured['MAE/pixels'] == pytest.approx(logged['MAE/pixels'], rel=1e-6)
  # A complete run is told of by both.
  assert cli.main(['train', *QUICK, cache]) == experiment.main(['--workdir=main', cache], 0) == 0
  assert capsys.readouterr().out.count('This run is complete') == 2


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['train'], 'Name an experiment, --config=configs/NAME.py'),
    (['train', '--workdir=nowhere'], 'nowhere has no config.json'),
    (['eval', '--workdir=nowhere'], 'nowhere has no config.json'),
    (['train', '--config=configs/nothing.py'], 'nothing.py'),
    (['train', SMOKE, 'extra'], "Unexpected arguments ['extra']"),
    (['eval', SMOKE, '--workdir=nowhere'], 'Train first'),
    (['train', SMOKE, '--config.batch_sizee=4'], "Did you mean 'batch_size'"),
  ],
)
def test_wrong_use_is_one_sentence_of_both(tmp_path, monkeypatch, capsys, words, message):
  root = os.getcwd()
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(root)
  mode, *rest = words
  assert cli.main([mode, *rest]) == 2
  assert message in capsys.readouterr().err
  assert experiment.main([f'--mode={mode}', *rest], 0) == 1
  errors = capsys.readouterr().err
  assert message in errors
  assert errors.startswith('Error: ')
  assert os.listdir(tmp_path) == []


def test_a_config_that_is_there_comes_before_the_installed_one(tmp_path, monkeypatch):
  root = os.getcwd()
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(root)
  installed = config_flags.read([SMOKE])
  assert installed.num_steps == 2
  os.mkdir('configs')
  with open('configs/pose_densenet.py', 'w') as file:
    file.write(
      'from posejax.config import Config\nimport ml_collections\n'
      'def get_config(arg=None):\n  return ml_collections.ConfigDict({"num_steps": 77})\n'
    )
  assert config_flags.read([SMOKE]).num_steps == 77
  with pytest.raises(PosejaxError, match='pose_other'):
    config_flags.read(['--config=configs/pose_other.py'])
