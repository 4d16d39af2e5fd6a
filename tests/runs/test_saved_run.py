import dataclasses

import jax.numpy as jnp
import optax
import pytest

from posejax.labels import LabelSpace
from posejax.runs import checkpoint, meta, saved_run
from posejax.runs.control import Control
from posejax.train.step import state
from tests import tiny


def save(workdir, values):
  """Write checkpoints of a run that was evaluated to `values`, one a step."""
  config = tiny.config()
  control = Control.create(config, 'PCK@0.20/torso', 'max')
  made = state.create({'params': {'bias': jnp.zeros(3)}}, optax.sgd(0.1), None)
  with checkpoint.Checkpointer(str(workdir)) as checkpointer:
    for step, value in enumerate(values, 1):
      if value is not None:
        control.update(step, {'PCK@0.20/torso': value})
      course = meta.Course(control, evaluated_step=step if value is not None else 0)
      saved = course.to_meta(config, LabelSpace(('one', 'two')), fingerprints={})
      arrays = dataclasses.replace(made, step=jnp.int32(step)).to_arrays()
      checkpointer.save(arrays, saved, control.best.step)


@pytest.mark.parametrize(
  ('values', 'expected', 'said'),
  [
    ((0.5, 0.75, 0.25), 2, False),
    ((float('nan'), float('nan')), 2, True),
    ((None,), 1, False),  # converted, or stopped before its first evaluation
  ],
)
def test_where_no_checkpoint_is_the_best_the_latest_is_taken_and_said_so(
  tmp_path, capsys, values, expected, said
):
  save(tmp_path, values)
  assert saved_run.read(str(tmp_path), 'best').step == expected
  out, err = capsys.readouterr()
  assert out == ''
  assert (
    'No evaluation of' in err and 'finite PCK@0.20/torso' in err and "'latest'" in err
  ) == said
  saved_run.read(str(tmp_path), 'latest')
  assert capsys.readouterr().err == ''
