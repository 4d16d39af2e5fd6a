import numpy as np
import pytest

from posejax import plots

METRIC = 'PCK@0.20/torso'


def rows(*values, baseline=None):
  """Return a run's rows with these values of the metric, evaluated every ten steps."""
  found = []
  for i, value in enumerate(values, 1):
    found.append({'step': 10 * i, 'split': 'train', 'loss': 0.1 / i, 'learning_rate': 1e-3})
    found.append({'step': 10 * i, 'split': 'eval', METRIC: value})
    if baseline is not None:
      found[-1][f'{METRIC}/median_pose'] = baseline
  return found


def same(a, b):
  return a.shape == b.shape and (a == b).all()


def test_learning_curves_draw_what_rows_hold():
  empty = plots.learning_curves([], METRIC)
  picture = plots.learning_curves(rows(0.1, None, 0.3), METRIC)
  assert picture.dtype == np.uint8
  assert picture.shape == empty.shape
  assert not same(picture, empty)
  assert not same(picture, plots.learning_curves(rows(0.1, 0.2, 0.3), METRIC))
  assert not same(picture, plots.learning_curves(rows(0.1, None, 0.3, baseline=0.2), METRIC))


def test_a_loss_below_zero_is_drawn_whole():
  found = rows(0.1, 0.2, 0.3, 0.4)
  for row, loss in zip(found[::2], (1.0, -0.5, -1.0, -1.5), strict=True):
    row['loss'] = loss
  picture = plots.learning_curves(found, METRIC)
  found[-2]['loss'] = -1.2
  assert not same(picture, plots.learning_curves(found, METRIC))


def test_runs_of_a_group_share_a_colour_and_groups_do_not():
  two = {'a': [rows(0.1, 0.3), rows(0.2, 0.5)], 'b': []}
  one_each = {'a': [rows(0.1, 0.3)], 'b': [rows(0.2, 0.5)]}
  assert not same(plots.compared_curves(two, METRIC), plots.compared_curves(one_each, METRIC))


@pytest.mark.parametrize('count', [0, 1, 10, 11, 30])
def test_any_number_of_groups_has_colours_and_a_legend(count):
  groups = {f'learning_rate={i}': [rows(i / 40, baseline=0.2)] for i in range(count)}
  picture = plots.compared_curves(groups, METRIC)
  assert picture.shape[0] >= 450
  assert len(np.unique(picture.reshape(-1, 3), axis=0)) >= count
