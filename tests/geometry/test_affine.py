import cv2
from hypothesis import given
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.geometry import affine
from tests import references

CROPS = [(256, 192), (96, 128), (129, 65)]

finite = st.floats(-300, 300)
side = st.floats(20, 400)
region = st.tuples(finite, finite, side, side)
angle = st.floats(-180, 180)
convention = st.sampled_from(affine.CONVENTIONS)
crop = st.sampled_from(CROPS)


def _disc(hw, at, radius=8.0):
  """A white picture with a soft disc around `at`."""
  ys, xs = np.mgrid[: hw[0], : hw[1]]
  distance = np.hypot(xs - at[0], ys - at[1])
  return np.clip(255 * (radius + 0.5 - distance), 0, 255).astype(np.uint8)


def _centroid(picture):
  weight = picture.astype(float)
  ys, xs = np.mgrid[: picture.shape[0], : picture.shape[1]]
  return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


def _compose(outer, inner):
  """Do `inner` first: a product of matrices of homogeneous points."""
  outer, inner = (np.vstack([matrix, [0, 0, 1]]) for matrix in (outer, inner))
  return (outer @ inner)[:2]


class TestBoxToCenterSize:
  def test_wide_box_gets_the_crops_aspect_and_padding(self):
    # 60 wide, 20 high; the crop is 3 wide for 4 high, so that the height becomes 80.
    center, size = affine.box_to_center_size([10, 50, 70, 70], aspect=0.75, padding=1.5)
    np.testing.assert_allclose(center, [40, 60])
    np.testing.assert_allclose(size, [90, 120])

  def test_tall_box_gets_wider(self):
    _, size = affine.box_to_center_size([0, 0, 10, 100], aspect=0.75, padding=1.0)
    np.testing.assert_allclose(size, [75, 100])

  def test_the_outermost_pixels_of_a_full_picture_are_one_pixel_less_than_it(self):
    # A picture of 193 x 257 pixels has its corners' centres 192 and 256 apart.
    center, size = affine.box_to_center_size([0, 0, 192, 256], aspect=0.75, padding=1.0)
    np.testing.assert_allclose(center, [96, 128])
    np.testing.assert_allclose(size, [192, 256])

  def test_many_at_once(self):
    boxes = np.array([[[10, 50, 70, 70.0]], [[0, 0, 10, 100]]])
    centers, sizes = affine.box_to_center_size(boxes, 0.75)
    assert centers.shape == sizes.shape == (2, 1, 2)
    for i in range(2):
      center, size = affine.box_to_center_size(boxes[i, 0], 0.75)
      np.testing.assert_array_equal(centers[i, 0], center)
      np.testing.assert_array_equal(sizes[i, 0], size)


class TestCropMatrix:
  @given(region, angle, crop)
  def test_msra_equals_the_published_three_points(self, where, degrees, crop_hw):
    center, size = np.array(where[:2]), np.array(where[2:])
    expected = references.three_point_matrix(center, size, degrees, crop_hw)
    # The published construction is in float32.
    np.testing.assert_allclose(
      affine.crop_matrix(center, size, degrees, crop_hw), expected, rtol=1e-3, atol=1e-2
    )

  @given(region, angle, crop)
  def test_udp_equals_its_steps(self, where, degrees, crop_hw):
    center, size = np.array(where[:2]), np.array(where[2:])
    expected = references.udp_matrix(center, size, degrees, crop_hw)
    matrix = affine.crop_matrix(center, size, degrees, crop_hw, 'udp')
    np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-7)

  @given(region, angle, crop, convention, st.booleans())
  def test_centre_arrives_at_the_centre(self, where, degrees, crop_hw, name, flip):
    center, size = np.array(where[:2]), np.array(where[2:])
    matrix = affine.crop_matrix(center, size, degrees, crop_hw, name, flip)
    H, W = crop_hw
    less = {'msra': 0, 'udp': 1}[name]
    arrived = affine.transform_points(center[None], matrix)[0]
    np.testing.assert_allclose(arrived, [(W - less) / 2, (H - less) / 2], atol=1e-6)

  @given(region, crop, st.booleans())
  def test_udp_takes_corners_to_corner_pixels(self, where, crop_hw, flip):
    center, size = np.array(where[:2]), np.array(where[2:])
    matrix = affine.crop_matrix(center, size, 0, crop_hw, 'udp', flip)
    H, W = crop_hw
    corners = affine.transform_points(np.stack([center - size / 2, center + size / 2]), matrix)
    left, right = (W - 1, 0) if flip else (0, W - 1)
    np.testing.assert_allclose(corners, [[left, 0], [right, H - 1]], atol=1e-6)

  @given(region, angle, crop, convention, st.booleans(), st.lists(finite, min_size=8, max_size=8))
  def test_inverse_leads_back(self, where, degrees, crop_hw, name, flip, coordinates):
    matrix = affine.crop_matrix(where[:2], where[2:], degrees, crop_hw, name, flip)
    points = np.array(coordinates).reshape(4, 2)
    there = affine.transform_points(points, matrix)
    np.testing.assert_allclose(
      affine.transform_points(there, affine.invert(matrix)), points, atol=1e-6
    )
    there_and_back = _compose(affine.invert(matrix), matrix)
    np.testing.assert_allclose(there_and_back, [[1, 0, 0], [0, 1, 0]], atol=1e-8)

  @given(region, angle, crop, convention, st.integers(50, 500))
  def test_flip_is_the_crop_of_the_mirrored_picture(self, where, degrees, crop_hw, name, width):
    center, size = np.array(where[:2]), np.array(where[2:])
    mirror = np.array([[-1.0, 0, width - 1], [0, 1, 0]])
    mirrored_center = affine.transform_points(center[None], mirror)[0]
    of_mirrored = affine.crop_matrix(mirrored_center, size, degrees, crop_hw, name)
    expected = _compose(of_mirrored, mirror)
    actual = affine.crop_matrix(center, size, degrees, crop_hw, name, flip=True)
    np.testing.assert_allclose(actual, expected, atol=1e-6)

  @pytest.mark.parametrize('name', affine.CONVENTIONS)
  def test_positive_rotation_turns_the_content_counter_clockwise(self, name):
    matrix = affine.crop_matrix([50, 40], [60, 80], 90, (80, 60), name)
    center, right_of_it = affine.transform_points(np.array([[50, 40], [60.0, 40]]), matrix)
    above = right_of_it - center
    assert abs(above[0]) < 1e-9
    assert above[1] < -5

  def test_unknown_convention_is_named(self):
    with pytest.raises(PosejaxError, match=r"'upd'.*'udp'"):
      affine.crop_matrix([0, 0], [1, 1], 0, (4, 3), 'upd')


@pytest.mark.parametrize('name', affine.CONVENTIONS)
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('degrees', [0, 33])
def test_warped_disc_lands_where_its_centre_does(name, flip, degrees):
  H, W = 120, 90
  at = np.array([141.3, 77.8])
  picture = _disc((170, 230), at)
  matrix = affine.crop_matrix([135, 85], [96.0, 128.0], degrees, (H, W), name, flip)
  warped = cv2.warpAffine(picture, matrix, (W, H), flags=cv2.INTER_LINEAR)
  expected = affine.transform_points(at[None], matrix)[0]
  assert np.abs(expected - [W / 2, H / 2]).max() > 3
  np.testing.assert_allclose(_centroid(warped), expected, atol=0.1)


@pytest.mark.parametrize('name', affine.CONVENTIONS)
def test_flipped_crop_has_the_mirrored_pictures_pixels(name):
  rng = np.random.default_rng(0)
  picture = cv2.GaussianBlur(rng.integers(0, 256, (130, 210, 3), dtype=np.uint8), (9, 9), 0)
  center, size, crop_hw = np.array([90.5, 61.25]), np.array([66.0, 88.0]), (64, 48)
  flipped = affine.crop_matrix(center, size, 20, crop_hw, name, flip=True)
  mirrored_center = np.array([210 - 1 - center[0], center[1]])
  plain = affine.crop_matrix(mirrored_center, size, 20, crop_hw, name)
  once = cv2.warpAffine(picture, flipped, crop_hw[::-1], flags=cv2.INTER_LINEAR)
  mirror = np.ascontiguousarray(picture[:, ::-1])
  twice = cv2.warpAffine(mirror, plain, crop_hw[::-1], flags=cv2.INTER_LINEAR)
  assert np.abs(once.astype(int) - twice).max() <= 2
  assert once.std() > 5


def test_points_of_a_batch_take_their_own_matrix_in_numpy_and_jax():
  rng = np.random.default_rng(1)
  points = rng.normal(size=(3, 5, 2)).astype(np.float32)
  matrices = rng.normal(size=(3, 2, 3)).astype(np.float32)
  expected = np.array(
    [
      [[m[r, 0] * x + m[r, 1] * y + m[r, 2] for r in range(2)] for x, y in p]
      for p, m in zip(points, matrices, strict=True)
    ]
  )
  np.testing.assert_allclose(affine.transform_points(points, matrices), expected, rtol=1e-5)
  on_device = affine.transform_points(jnp.asarray(points), jnp.asarray(matrices))
  assert on_device.dtype == jnp.float32
  np.testing.assert_allclose(on_device, expected, rtol=1e-5, atol=1e-6)
