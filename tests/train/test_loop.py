from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from posejax.train.loop import train
from tests import tiny


def test_a_run_that_stopped_early_is_complete(tmp_path, capsys):
  config = tiny.config(
    num_steps=60, log_every_steps=1, early_stopping__patience=2, optimizer__learning_rate=0.0
  )
  train(config, str(tmp_path))
  (stopped,) = checkpoint.available_steps(str(tmp_path))[-1:]
  assert 6 <= stopped < 60
  assert 'Stopped early' in capsys.readouterr().out
  rows = read_rows(str(tmp_path))
  # Given again, it trains no further.
  assert train(config, str(tmp_path)) == {}
  assert f'it stopped early, after step {stopped}' in capsys.readouterr().out
  assert read_rows(str(tmp_path)) == rows
