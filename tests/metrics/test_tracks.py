import numpy as np
import pytest

from posejax.metrics import tracks


def test_switches_are_changes_of_known_ids():
  ids = np.array([[1, 0], [1, 2], [0, 2], [3, 2], [0, 2], [3, 0], [1, 2]])
  assert tracks.id_switches(ids) == 2  # 1 to 3 to 1; being away is none
  assert tracks.id_switches(ids, within=1) == 1
  assert tracks.id_switches(ids, within=2) == 2
  assert tracks.ids_per_person(ids) == 1.5
  np.testing.assert_array_equal(tracks.main_ids(ids), [1, 2])
  assert tracks.id_switches(np.zeros((4, 2), int)) == 0


def test_acceleration_of_a_tremble_by_hand():
  truth = np.zeros((6, 1, 1, 2)) + np.arange(6)[:, None, None, None] * 5.0
  found = truth.copy()
  found[::2] += [3, 4]  # 5 pixels off in every other frame: second differences of 10
  assert tracks.acceleration_error(found, truth) == pytest.approx(10)
  assert tracks.acceleration_error(truth + 7, truth) == 0
  found[3] = np.nan
  assert tracks.acceleration_error(found, truth) == pytest.approx(10)
  assert np.isnan(tracks.acceleration_error(found[:2], truth[:2]))


@pytest.mark.parametrize('frames', [0, 0.5, 2])
def test_lag_of_a_delayed_path(frames):
  def path(t):
    return np.stack([90 * np.sin(t / 15), 40 * np.cos(t / 9)], axis=-1)[:, None, None]

  t = np.arange(200.0)
  assert tracks.lag(path(t - frames), path(t)) == pytest.approx(frames, abs=0.06)
