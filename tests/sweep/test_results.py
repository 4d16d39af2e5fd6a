import csv
import io

import pytest

from posejax.sweep import grid, progress, results
from tests import tiny

METRIC = 'PCK@0.20/torso'


def result(run, best, state=results.FINISHED, last=None):
  known = best is not None
  last = {METRIC: best, f'{METRIC}/median_pose': 0.2, 'MAE/pixels': 3.5} if last is None else last
  return results.Result(
    run=run,
    state=state,
    step=4,
    metric=METRIC if known else '',
    best=best,
    best_step=2 if known else None,
    last=last,
    images_per_second=123.4 if known else None,
    minutes=1.5,
    rows=[],
  )


@pytest.fixture
def four():
  runs = grid.runs(tiny.config(), ['optimizer.learning_rate=0.1,0.01', 'seed=0,1'])
  return [result(run, best) for run, best in zip(runs, (0.5, 0.7, 0.3, 0.1), strict=True)]


def test_the_table_says_which_run_is_best_and_the_means_over_seeds(four):
  text = results.to_markdown(four, METRIC, {})
  assert text.count('**') == 2
  assert '| 0.1 | 1 | finished | 4 | **0.7000** | 2 | 0.7000 | 123 | 1.5 |' in text
  assert 'Median pose of the training set: 0.2000.' in text
  # (0.5 + 0.7) / 2, and the deviation with one degree of freedom less: 0.2 / sqrt(2).
  assert '| learning_rate=0.1 | 2 | 0.6000 | 0.1414 |' in text
  assert '| learning_rate=0.01 | 2 | 0.2000 | 0.1414 |' in text


def test_where_less_is_better_the_least_is_the_best(four):
  runs = grid.runs(tiny.config(best_mode='min'), ['seed=0,1'])
  text = results.to_markdown([result(runs[0], 2.0), result(runs[1], 3.0)], METRIC, {})
  assert '**2.0000**' in text


def test_runs_without_results_have_their_line(four):
  failed = result(four[0].run, None, results.FAILED, last={})
  text = results.to_markdown([failed, *four[1:]], METRIC, {failed.run.name: 'exit code 1'})
  assert '| 0.1 | 0 | failed | 4 | - | - | - | - | 1.5 |' in text
  assert '**learning_rate=0.1,seed=0 failed:**' in text
  assert '| learning_rate=0.1 | 1 | 0.7000 | - |' in text
  assert '**0.' not in results.to_markdown([failed], '', {})


def test_csv_has_every_setting_and_every_metric(four):
  failed = result(four[0].run, None, results.FAILED, last={})
  rows = list(csv.DictReader(io.StringIO(results.to_csv([failed, *four[1:]]))))
  assert rows[1]['optimizer.learning_rate'] == '0.1'
  assert rows[1]['run'] == 'learning_rate=0.1,seed=1'
  assert rows[1]['last/MAE/pixels'] == '3.5'
  assert (rows[0]['state'], rows[0]['best'], rows[0]['last/MAE/pixels']) == ('failed', '', '')


def test_the_last_row_is_read_off_the_end_of_a_file(tmp_path):
  assert progress.last_step(str(tmp_path)) == 0
  file = tmp_path / 'metrics.jsonl'
  file.write_text('')
  assert progress.last_step(str(tmp_path)) == 0
  file.write_text(
    ''.join(f'{{"step": {i}, "loss": {i}e-5}}\n' for i in range(3000)) + '{"step": 30'
  )
  assert file.stat().st_size > 65_536
  assert progress.last_step(str(tmp_path)) == 2999


def test_time_left_is_what_the_rest_takes_at_this_speed():
  assert progress.time_left(steps=300, done=100, seconds=25) == '1:15 left'
  assert progress.time_left(steps=10, done=1, seconds=400) == '1:06:40 left'
  assert 'not known' in progress.time_left(10, 0, 5)
