import json
import weakref

import jax
import pytest

from posejax import devices
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from posejax.train import loop
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

  def recorded(init, mesh):
    compiled = compile_init(init, mesh)

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
