import subprocess
import sys

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
