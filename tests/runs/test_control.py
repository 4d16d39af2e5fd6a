"""What watches the evaluations: plateau, early stopping, the best; alone and in a run."""

import dataclasses

import pytest

from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.control import Control
from posejax.runs.report import read_rows
from posejax.train.loop import train
from tests import tiny


def watching(**optimizer):
  return Config.from_dict(
    {
      'optimizer': {'schedule': 'plateau', 'step_factor': 0.5, 'plateau_patience': 2, **optimizer},
      'early_stopping': {'metric': 'MAE/pixels', 'patience': 4},
    }
  )


def scales(config, errors):
  """Return the learning-rate scale after each evaluation, and how many there were until the stop."""
  control, scale, result = Control.create(config, 'PCK@0.20/torso', 'max'), 1.0, []
  for step, error in enumerate(errors):
    control.update(step, {'MAE/pixels': error, 'PCK@0.20/torso': 0.5})
    # As from a checkpoint: nothing is remembered elsewhere.
    control = Control.from_json(dataclasses.asdict(control))
    scale = control.lowered_scale(scale, config)
    result.append(scale)
    if control.should_stop(config):
      break
  return result


def test_an_error_that_stops_falling_lowers_the_rate_and_then_stops_the_run():
  config = watching(plateau_metric='MAE/pixels')
  assert scales(config, [9, 8, 8, 8, 7, 7.5, 7.1, 7.2, 7.3, 7]) == [
    *(1, 1, 1, 0.5),  # twice no better than 8
    *(0.5, 0.5, 0.25, 0.25, 0.125),  # four times no better than 7
  ]


def test_the_rate_has_a_floor_and_a_rate_that_falls_for_good_has_none():
  config = watching(plateau_metric='MAE/pixels', plateau_min_scale=0.3, plateau_patience=1)
  assert scales(config, [9, 9, 9, 9])[1:] == [0.5, 0.3, 0.3]
  assert scales(config, range(20, 0, -1)) == [1] * 20


def test_an_error_that_is_not_finite_is_no_improvement():
  config = watching(plateau_metric='MAE/pixels', plateau_patience=1)
  assert scales(config, [9, float('nan')]) == [1, 0.5]


def plateau(**changes):
  """Return a run too slow to improve on its first evaluation."""
  return tiny.config(
    num_steps=4,
    log_every_steps=1,
    eval_every_steps=1,
    optimizer__schedule='plateau',
    optimizer__learning_rate=1e-12,
    optimizer__plateau_patience=2,
    optimizer__step_factor=0.5,
    **{'optimizer__plateau_metric': 'MAE/pixels', **changes},
  )


def test_a_plateau_lowers_the_rate_of_a_run_and_survives_its_resumption(tmp_path):
  whole, parts = str(tmp_path / 'whole'), str(tmp_path / 'parts')
  train(plateau(), whole)
  rates = [r['learning_rate'] for r in read_rows(whole) if r['split'] == 'train']
  assert rates == pytest.approx([1e-12] * 3 + [5e-13], rel=1e-6)
  # In parts: stopped in the middle of the patience.
  config = plateau().to_dict()
  config['optimizer']['schedule_steps'] = 4
  for num_steps in (2, 4):
    train(Config.from_dict({**config, 'num_steps': num_steps}), parts)
  assert [r['learning_rate'] for r in read_rows(parts) if r['split'] == 'train'] == rates


def test_a_metric_that_is_not_computed_is_refused_before_the_first_step(tmp_path):
  workdir = str(tmp_path)
  for key in ('optimizer__plateau_metric', 'early_stopping__metric'):
    with pytest.raises(PosejaxError, match=r"MAE/pixel'.*Did you mean 'MAE/pixels'"):
      train(plateau(**{key: 'MAE/pixel'}), workdir)
    assert checkpoint.available_steps(workdir) == []
    assert read_rows(workdir) == []
  # Nothing stands in the way of the right name.
  assert train(plateau(), workdir)
