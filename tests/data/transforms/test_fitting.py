"""A picture in the middle of a net's input, and parts of pictures there."""

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax.data.transforms import fitting


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 400), st.integers(20, 400), st.integers(0, 99), st.integers(0, 99))
def test_a_point_is_found_where_the_fit_says(h, w, x, y):
  size = (96, 128)
  image = np.zeros((h, w, 3), np.uint8)
  radius = min(h, w) // 3
  center = [
    radius + round(share * (side - 1 - 2 * radius) / 99) for share, side in ((x, w), (y, h))
  ]
  cv2.circle(image, center, radius, (255, 255, 255), -1)
  shown, scale, shift = fitting.fitted(image, size)
  assert shown.shape == (*size, 3)
  rows, columns = np.nonzero(image[..., 0])
  weight = shown[..., 0].astype(float)
  v, u = np.mgrid[: size[0], : size[1]]
  found = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()
  expected = scale * np.array([columns.mean(), rows.mean()]) + shift
  np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize('box', [None, (40.0, 30, 90, 60), (100.0, 10, 149, 99)])
def test_a_part_is_shown_with_its_surroundings_and_leads_back(box):
  image = np.zeros((100, 150, 3), np.uint8)
  x, y = (75, 50) if box is None else (round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2))
  cv2.circle(image, (x, y), 6, (255, 255, 255), -1)
  box = None if box is None else np.array(box)
  shown, to_image = fitting.view(image, box, size=(64, 96), padding=1.5)
  weight = shown[..., 0].astype(float)
  v, u = np.mgrid[:64, :96]
  center = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()
  np.testing.assert_allclose(to_image @ [*center, 1], [x, y], atol=0.3)
  # What is shown reaches as far as 1.5 boxes do, or the picture.
  low, high = np.array([[0.0, 0], [149, 99]])
  if box is not None:
    reach = 0.75 * (box[2:] - box[:2])
    middle = (box[:2] + box[2:]) / 2
    low, high = np.maximum(low, middle - reach), np.minimum(high, middle + reach)
  scale = min(64 / (high - low + 1)[1], 96 / (high - low + 1)[0])
  assert 1 / to_image[0, 0] == pytest.approx(scale, rel=0.05)
