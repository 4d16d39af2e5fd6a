import numpy as np
import pytest

from posejax.infer.tracking import crops


@pytest.mark.parametrize('box', [[10, 20, 10, 20], [10, 20, 14, 80], [0, 0, 30, 30.0]])
def test_a_small_box_grows_evenly_to_an_area(box):
  box = np.array(box, float)
  grown = crops.at_least(box, 1000.0)
  assert (grown[2] - grown[0]) * (grown[3] - grown[1]) == pytest.approx(1000)
  np.testing.assert_allclose(grown - box, (grown - box)[2] * np.array([-1, -1, 1, 1]))
  large = np.array([0, 0, 40, 50.0])
  assert crops.at_least(large, 1000.0) is large
