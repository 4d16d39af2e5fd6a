import time

from posejax.runs.progress import Progress


def test_a_row_due_where_a_run_was_resumed_tells_the_loss_and_no_speed(capsys):
  progress = Progress(6, 10, 8, time.monotonic(), active=True)
  assert progress.row(6, 0.25) is None
  out = capsys.readouterr().out
  assert 'step 6/10: loss 0.25' in out
  assert 'images/s' not in out
  progress.step()
  assert progress.row(7, 0.125) > 0
  assert 'step 7/10: loss 0.125' in capsys.readouterr().out
  progress.close()
