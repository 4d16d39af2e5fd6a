import json
import math
import weakref

import jax
import numpy as np
import pytest

from posejax import devices
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from posejax.train import loop
from posejax.train.evaluate import Evaluations
from posejax.train.loop import train
from posejax.train.stop import StopFlag
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


def test_data_that_are_refused_leave_no_trace(tmp_path):
  train(tiny.config(num_steps=2), str(tmp_path))
  config = (tmp_path / 'config.json').read_text()
  meta_path = tmp_path / 'checkpoints' / '2' / 'meta' / 'metadata'
  meta = json.loads(meta_path.read_text())
  meta['data']['train'] = 'of other people'
  meta_path.write_text(json.dumps(meta))
  with pytest.raises(PosejaxError, match='The train data are not those .* of other people there'):
    train(tiny.config(num_steps=4, log_every_steps=4), str(tmp_path))
  assert (tmp_path / 'config.json').read_text() == config


def test_a_config_that_is_gone_is_the_checkpoints(tmp_path):
  train(tiny.config(num_steps=2), str(tmp_path))
  (tmp_path / 'config.json').unlink()
  with pytest.raises(PosejaxError, match=r'learning_rate: 0\.003 there, 0\.5 now'):
    train(tiny.config(num_steps=4, optimizer__learning_rate=0.5), str(tmp_path))
  train(tiny.config(num_steps=3), str(tmp_path))
  assert json.loads((tmp_path / 'config.json').read_text())['optimizer']['schedule_steps'] == 2


def test_what_a_run_starts_from_is_let_go_and_not_computed_to_go_on(tmp_path, monkeypatch):
  computed, alive = [], []
  compile_init, run_loop = devices.compile_init, loop._Run._loop

  def recorded(init, *placed):
    compiled = compile_init(init, *placed)

    def call(given):
      if isinstance(jax.tree.leaves(given)[0], jax.core.Tracer):
        return init(given)  # only its shapes are asked for
      result = compiled(given)
      computed.extend(map(weakref.ref, jax.tree.leaves(result)))
      return result

    return call

  def looped(self, train_step, train_state):
    state = {id(leaf) for leaf in jax.tree.leaves(train_state)}
    left = [ref() for ref in computed]
    alive.append(sum(a is not None and id(a) not in state for a in left))
    return run_loop(self, train_step, train_state)

  monkeypatch.setattr(devices, 'compile_init', recorded)
  monkeypatch.setattr(loop._Run, '_loop', looped)
  train(tiny.config(num_steps=1), str(tmp_path))
  assert len(computed) > 20
  computed.clear()
  train(tiny.config(num_steps=2), str(tmp_path))
  assert not computed
  assert alive == [0, 0]


class Killed(BaseException):
  """Ends a run at once, like the signal that no program sees."""


@pytest.fixture
def interrupted(monkeypatch):
  """Return `interrupted(config, workdir, stop=None, kill=None)`: `train`, asked to stop or killed."""

  def run(config, workdir, stop=None, kill=None):
    def at(self, step):
      if step == kill:
        raise Killed
      return step == stop

    monkeypatch.setattr(StopFlag, 'at', at)
    try:
      return train(config, str(workdir))
    except Killed:
      return None

  return run


def evaluated_steps(workdir):
  return [row['step'] for row in read_rows(str(workdir)) if row['split'] == 'eval']


def assert_same_run(a, b):
  """Same rows, the same bits in every array of the last checkpoint, and the same meta."""
  assert read_rows(str(a)) == read_rows(str(b))
  (arrays, meta), (other_arrays, other_meta) = (
    checkpoint.restore_with_meta(str(w)) for w in (a, b)
  )
  jax.tree.map(np.testing.assert_array_equal, arrays, other_arrays)
  assert meta == other_meta


def test_a_run_stopped_in_its_last_step_is_evaluated_by_the_next_start(
  tmp_path, interrupted, capsys
):
  config = tiny.config(num_steps=4, eval_every_steps=3)
  train(config, str(tmp_path / 'whole'))
  interrupted(config, tmp_path / 'stopped', stop=4)
  assert evaluated_steps(tmp_path / 'stopped') == [3]
  metrics = interrupted(config, tmp_path / 'stopped')
  assert metrics['examples'] == 12
  assert_same_run(tmp_path / 'whole', tmp_path / 'stopped')
  capsys.readouterr()
  assert interrupted(config, tmp_path / 'stopped') == {}
  assert 'This run is complete: 4 of 4 steps' in capsys.readouterr().out


@pytest.mark.parametrize('again', ['killed after', 'killed between'])
def test_an_evaluation_made_up_for_is_logged_once(tmp_path, interrupted, monkeypatch, again):
  """Also where the evaluation's effects, a plateau here, reach beyond a second kill."""
  config = tiny.config(
    num_steps=6,
    log_every_steps=1,
    eval_every_steps=2,
    checkpoint_every_steps=100,
    optimizer__schedule='plateau',
    optimizer__learning_rate=1e-12,
    optimizer__plateau_metric='MAE/pixels',
    optimizer__plateau_patience=1,
    optimizer__step_factor=0.5,
  )
  train(config, str(tmp_path / 'whole'))
  workdir = tmp_path / 'parts'
  interrupted(config, workdir, stop=4)
  for _ in range(2):
    with monkeypatch.context() as patch:
      if again == 'killed between':

        def killed(self, train_state, wait):
          raise Killed

        patch.setattr(loop._Run, '_save', killed)
      interrupted(config, workdir, kill=5)
    assert evaluated_steps(workdir) == [2, 4]
  interrupted(config, workdir)
  assert_same_run(tmp_path / 'whole', workdir)


def test_patience_that_runs_out_in_an_evaluation_made_up_for_ends_the_run(tmp_path, interrupted):
  config = tiny.config(
    num_steps=60, early_stopping__patience=1, optimizer__learning_rate=0.0, log_every_steps=1
  )
  train(config, str(tmp_path / 'whole'))
  (last,) = evaluated_steps(tmp_path / 'whole')[-1:]
  assert last < 60
  interrupted(config, tmp_path / 'parts', stop=last)
  interrupted(config, tmp_path / 'parts')
  assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


def test_a_row_that_other_intervals_made_due_is_logged_once(tmp_path, interrupted):
  config = tiny.config(num_steps=4, log_every_steps=4, eval_every_steps=4)
  interrupted(config, tmp_path, stop=3)
  other = tiny.config(num_steps=4, log_every_steps=3, eval_every_steps=4, checkpoint_every_steps=9)
  for kill in (4, None):
    interrupted(other, tmp_path, kill=kill)
    steps = [row['step'] for row in read_rows(str(tmp_path)) if row['split'] == 'train']
    assert steps == ([3] if kill else [3, 4])


def test_patience_with_a_metric_that_is_never_finite_ends_the_run_in_words(
  tmp_path, capsys, monkeypatch
):
  config = tiny.config(num_steps=60, log_every_steps=1, early_stopping__patience=1)
  evaluate = Evaluations.__call__

  def undefined(self, variables, iterate):
    result = evaluate(self, variables, iterate)
    return result._replace(metrics=dict.fromkeys(result.metrics, math.nan))

  monkeypatch.setattr(Evaluations, '__call__', undefined)
  train(config, str(tmp_path))
  out = capsys.readouterr().out
  assert 'PCK@0.20/torso was not finite for 1 evaluations.' in out
  assert 'Best PCK@0.20/torso: never finite.' in out
