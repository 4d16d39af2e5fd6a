import json
import logging
import threading

import jax
import pytest

from posejax.train.ahead import Ahead
from posejax.train.loop import train
from tests import tiny


def test_what_compiling_raises_is_raised_where_it_is_waited_for():
  go = threading.Event()

  def fail():
    go.wait()
    raise ValueError('no such operation')

  compiling = Ahead(fail)
  go.set()
  with pytest.raises(ValueError, match='no such operation'):
    compiling.wait()


@pytest.fixture
def compiled():
  """Return the list of what JAX compiles from here on, on whichever thread."""
  messages = []

  class Handler(logging.Handler):
    def emit(self, record):
      messages.append(record.getMessage().partition(' with ')[0])

  handler, logger = Handler(), logging.getLogger('jax._src.interpreters.pxla')
  logger.addHandler(handler)
  jax.config.update('jax_log_compiles', True)
  yield messages
  jax.config.update('jax_log_compiles', False)
  logger.removeHandler(handler)


def test_a_start_compiles_its_step_once_and_tells_how_long_its_parts_took(
  tmp_path, capsys, compiled
):
  train(tiny.config(num_steps=2, log_every_steps=1), str(tmp_path))
  assert compiled.count('Compiling jit(train_step)') == 1
  first, second = map(json.loads, (tmp_path / 'speed.jsonl').read_text().splitlines())
  parts = first['start']
  assert {'imports', 'data', 'state', 'first batch', 'first step'} <= parts.keys()
  assert parts['compiling, beside them'] > 0
  assert 'start' not in second
  assert 'The first step ended' in capsys.readouterr().out
