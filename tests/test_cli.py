import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from posejax import cli, doctor
from posejax.errors import PosejaxError


def test_the_doctor_answers_with_its_exit_code(monkeypatch):
  monkeypatch.setattr(doctor, 'run', lambda: 1)
  assert cli.main(['doctor']) == 1


@pytest.mark.parametrize(
  ('error', 'code', 'message'),
  [
    (PosejaxError('no device; plug one in'), 2, 'Error: no device; plug one in\n'),
    (KeyboardInterrupt(), 130, 'Interrupted.\n'),
  ],
)
def test_errors_are_messages(monkeypatch, capsys, error, code, message):
  def fail():
    raise error

  monkeypatch.setattr(doctor, 'run', fail)
  assert cli.main(['doctor']) == code
  assert capsys.readouterr().err == message


def test_use_without_a_command_says_which_there_are(capsys):
  with pytest.raises(SystemExit) as ended:
    cli.main([])
  assert ended.value.code == 2
  assert 'COMMAND' in capsys.readouterr().err
  with pytest.raises(SystemExit):
    cli.main(['--help'])
  assert 'doctor' in capsys.readouterr().out


def test_the_command_line_is_read_before_jax_is_loaded():
  code = (
    'import sys\nfrom posejax import cli\ntry:\n  cli.main(["--help"])\n'
    'finally:\n  print("jax" in sys.modules)'
  )
  output = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60
  ).stdout
  assert output.splitlines()[-1] == 'False'


def test_arguments_that_a_command_does_not_know_are_wrong_use(capsys):
  with pytest.raises(SystemExit) as ended:
    cli.main(['doctor', '--config=configs/pose_resnet.py'])
  assert ended.value.code == 2
  assert '--config=configs/pose_resnet.py' in capsys.readouterr().err


def test_opencv_says_nothing_of_its_own(tmp_path):
  bitmap = cv2.imencode('.bmp', np.zeros((60, 90, 3), np.uint8))[1].tobytes()
  (tmp_path / 'broken.bmp').write_bytes(bitmap[:200])
  code = """
from posejax import cli
cli.main(['predict', 'none.jpg'])
from posejax import read_picture
read_picture('broken.bmp')
"""
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=tmp_path,
    env={name: v for name, v in os.environ.items() if name != 'OPENCV_LOG_LEVEL'}
    | {'PYTHONPATH': str(pathlib.Path(cli.__file__).parents[1])},
    capture_output=True,
    text=True,
    check=False,
  )
  lines = done.stderr.splitlines()
  assert lines[0].startswith('Error: none.jpg: there is no such file')
  assert lines[-1].startswith('posejax.errors.PosejaxError: broken.bmp: ')
  assert 'ERROR' not in done.stderr
