import dataclasses

import numpy as np
import pytest

from posejax import skeletons
from posejax.data.transforms import augment
from posejax.errors import PosejaxError

COCO = skeletons.COCO
CENTER, SIZE = np.array([90.0, 130.0]), np.array([120.0, 160.0])


def _figure(seed=0):
  """A figure whose upper body lies above its lower body."""
  rng = np.random.default_rng(seed)
  keypoints = rng.uniform([50, 60], [130, 120], (17, 2))
  keypoints[~COCO.upper_body_mask, 1] += 70
  return keypoints, np.full(17, 2)


def _sample(augmentation, rng, visibility=None):
  keypoints, all_visible = _figure()
  visibility = all_visible if visibility is None else visibility
  return augmentation.sample_geometry(rng, CENTER, SIZE, keypoints, visibility, COCO)


def _draws(augmentation, num=2000):
  rng = np.random.default_rng(0)
  samples = [_sample(augmentation, rng) for _ in range(num)]
  return [np.array(column) for column in zip(*samples, strict=True)]


class TestGeometry:
  def test_off_is_the_identity(self):
    center, size, rotation, flip = _sample(augment.Augmentation(), np.random.default_rng(0))
    np.testing.assert_array_equal(center, CENTER)
    np.testing.assert_array_equal(size, SIZE)
    assert (rotation, flip) == (0.0, False)

  def test_same_generator_same_crop(self):
    for name, augmentation in augment.PRESETS.items():
      one = _sample(augmentation, np.random.default_rng(3))
      two = _sample(augmentation, np.random.default_rng(3))
      for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)

  def test_the_arguments_stay_as_they_were(self):
    center, size = CENTER.copy(), SIZE.copy()
    keypoints, visibility = _figure()
    augmentation = augment.create('mmpose', half_body=1.0)
    augmentation.sample_geometry(
      np.random.default_rng(0), center, size, keypoints, visibility, COCO
    )
    np.testing.assert_array_equal(center, CENTER)
    np.testing.assert_array_equal(size, SIZE)
    np.testing.assert_array_equal(keypoints, _figure()[0])

  def test_clipped_distributions_are_the_published_ones(self):
    _, size, rotation, flip = _draws(augment.PRESETS['msra'])
    factor = size[:, 0] / SIZE[0]
    np.testing.assert_allclose(size[:, 1] / SIZE[1], factor)
    # clip(1 + 0.3 N, 0.7, 1.3): 16 % at either end.
    assert factor.min() == pytest.approx(0.7)
    assert factor.max() == pytest.approx(1.3)
    assert np.mean(factor > 1.2999) == pytest.approx(0.159, abs=0.03)
    # clip(N(0, 40), -80, 80) in 60 % of the draws.
    turned = rotation[rotation != 0]
    assert len(turned) / len(rotation) == pytest.approx(0.6, abs=0.04)
    assert np.abs(turned).max() == pytest.approx(80)
    assert np.mean(np.abs(turned) < 40) == pytest.approx(0.683, abs=0.04)
    assert turned.mean() == pytest.approx(0, abs=5)
    assert flip.mean() == pytest.approx(0.5, abs=0.04)

  def test_published_presets_vary_what_their_recipes_vary(self):
    # ROT_FACTOR, SCALE_FACTOR and PROB_HALF_BODY (-1: never) of HRNet's recipes.
    for name, rotation, scale, half_body in (('hrnet', 45, 0.35, 0.3), ('hrnet_mpii', 30, 0.25, 0)):
      preset = augment.PRESETS[name]
      assert (preset.flip, preset.half_body) == (0.5, half_body)
      assert (preset.rotation, preset.scale, preset.shift) == (rotation, scale, 0)

  def test_truncated_distributions_are_mmposes(self):
    center, size, rotation, _ = _draws(dataclasses.replace(augment.PRESETS['mmpose'], half_body=0))
    factor = size[:, 0] / SIZE[0]
    assert factor.min() > 0.5
    assert factor.max() < 1.5
    assert np.mean(np.abs(factor - 1) < 0.25) == pytest.approx(0.383 / 0.683, abs=0.04)
    turned = rotation[rotation != 0]
    assert np.abs(turned).max() < 80
    assert np.mean(np.abs(turned) < 40) == pytest.approx(0.383 / 0.683, abs=0.04)
    moved = (center - CENTER) / SIZE
    shifted = moved[np.any(moved != 0, axis=1)]
    assert len(shifted) / len(moved) == pytest.approx(0.3, abs=0.04)
    assert 0.14 < np.abs(shifted).max() < 0.16
    assert abs(np.corrcoef(shifted.T)[0, 1]) < 0.15


class TestHalfBody:
  always = augment.Augmentation(half_body=1.0)

  def test_crops_one_half_with_the_crops_aspect(self):
    keypoints, _ = _figure()
    rng = np.random.default_rng(0)
    uppers = 0
    for _ in range(300):
      center, size, _, _ = _sample(self.always, rng)
      np.testing.assert_allclose(size[0] / size[1], SIZE[0] / SIZE[1])
      upper = center[1] < 125
      half = keypoints[COCO.upper_body_mask == upper]
      np.testing.assert_allclose(center, half.mean(axis=0))
      extent = half.max(axis=0) - half.min(axis=0)
      assert np.all(size >= 1.5 * extent - 1e-9)
      assert np.any(np.isclose(size, 1.5 * extent))
      uppers += upper
    assert uppers / 300 == pytest.approx(0.7, abs=0.1)

  def test_needs_more_than_eight_labelled(self):
    visibility = np.zeros(17, int)
    visibility[:8] = 1
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(_sample(self.always, rng, visibility)[0], CENTER)
    visibility[8] = 1
    assert np.any(_sample(self.always, rng, visibility)[0] != CENTER)

  def test_a_half_of_two_keypoints_gives_way_to_the_other(self):
    visibility = COCO.upper_body_mask.astype(int)
    visibility[-2:] = 2
    rng = np.random.default_rng(0)
    centers = np.array([_sample(self.always, rng, visibility)[0] for _ in range(50)])
    assert len(np.unique(centers, axis=0)) == 1
    assert centers[0, 1] < 125

  def test_a_skeleton_without_upper_body_is_never_halved(self):
    plain = dataclasses.replace(COCO, upper_body=())
    keypoints, visibility = _figure()
    center, size, _, _ = self.always.sample_geometry(
      np.random.default_rng(0), CENTER, SIZE, keypoints, visibility, plain
    )
    np.testing.assert_array_equal(center, CENTER)
    np.testing.assert_array_equal(size, SIZE)


@pytest.fixture
def crop():
  return np.random.default_rng(1).integers(0, 256, (96, 72, 3), dtype=np.uint8)


def _means(augmentation, crop, num=200):
  rng = np.random.default_rng(0)
  return np.array([augmentation.photometric(rng, crop).mean() for _ in range(num)])


class TestPhotometric:
  def test_off_is_the_identity(self, crop):
    assert augment.Augmentation().photometric(np.random.default_rng(0), crop) is crop

  def test_color_without_amounts_is_the_identity(self, crop):
    same = augment.Augmentation(color=1.0).photometric(np.random.default_rng(0), crop)
    np.testing.assert_array_equal(same, crop)

  def test_same_generator_same_colors_and_a_new_array(self, crop):
    augmentation = augment.Augmentation(
      color=1.0, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1, occlusion=1.0
    )
    before = crop.copy()
    one = augmentation.photometric(np.random.default_rng(5), crop)
    two = augmentation.photometric(np.random.default_rng(5), crop)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(crop, before)
    assert one.dtype == np.uint8
    assert one.shape == crop.shape
    assert np.abs(one.astype(int) - crop).mean() > 2

  def test_brightness_multiplies(self):
    dark = np.full((4, 6, 3), 100, np.uint8)
    means = _means(augment.Augmentation(color=1.0, brightness=0.5), dark)
    assert 50 <= means.min() < 55
    assert 145 < means.max() <= 150

  def test_contrast_turns_about_middle_grey(self):
    rng = np.random.default_rng(0)
    augmentation = augment.Augmentation(color=1.0, contrast=0.5)
    pair = np.array([[[78] * 3, [178] * 3]], np.uint8)
    for _ in range(50):
      low, high = augmentation.photometric(rng, pair)[0, :, 0].astype(float)
      assert (low + high) / 2 == pytest.approx(128, abs=1.5)
      assert 48 <= high - low <= 152

  def test_saturation_and_hue_keep_the_grey(self, crop):
    grey = np.repeat(crop[..., :1], 3, axis=2)
    augmentation = augment.Augmentation(color=1.0, saturation=1.0, hue=0.5)
    rng = np.random.default_rng(0)
    for _ in range(20):
      changed = augmentation.photometric(rng, grey)
      assert np.abs(changed.astype(int) - grey).max() <= 1

  def test_hue_of_a_third_turn_exchanges_the_channels(self):
    class ThirdOfATurn:
      """Stands where the generator is asked for uniform numbers: the last of four is the hue's."""

      def random(self):
        return 0.0

      def uniform(self, low, high, num):
        assert (low, high, num) == (-1, 1, 4)
        return np.array([0.0, 0, 0, 1])

    red = np.full((2, 3, 3), (200, 40, 40), np.uint8)
    turned = augment.Augmentation(color=1.0, hue=1 / 3).photometric(ThirdOfATurn(), red)
    np.testing.assert_array_equal(turned, np.full((2, 3, 3), (40, 200, 40), np.uint8))

  def test_occlusion_is_one_rectangle_of_one_color_and_bounded_size(self, crop):
    augmentation = augment.Augmentation(occlusion=1.0, occlusion_size=0.5)
    rng = np.random.default_rng(0)
    heights, widths = [], []
    for _ in range(200):
      changed = np.any(augmentation.photometric(rng, crop) != crop, axis=2)
      rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
      heights.append(np.ptp(rows) + 1)
      widths.append(np.ptp(columns) + 1)
      # Noise of 256 levels in three channels hardly ever has the rectangle's colour.
      assert changed.sum() > 0.99 * heights[-1] * widths[-1]
    assert 12 <= min(heights) < 16 < 44 < max(heights) <= 48
    assert 9 <= min(widths) < 12 < 33 < max(widths) <= 36

  def test_occlusion_happens_as_often_as_said(self, crop):
    augmentation = augment.Augmentation(occlusion=0.25)
    rng = np.random.default_rng(0)
    hits = [augmentation.photometric(rng, crop) is not crop for _ in range(600)]
    assert np.mean(hits) == pytest.approx(0.25, abs=0.05)


class TestFields:
  @pytest.mark.parametrize(
    ('name', 'value'),
    [
      ('flip', 1.5), ('flip', -0.1), ('flip', True), ('rotation', 200), ('scale', 1), ('hue', 0.6),
      ('half_body_padding', 0.5), ('occlusion', 'often'), ('brightness', float('nan')),
      ('half_body_min_labelled', -1), ('occlusion_size', 1.2),
    ],
  )  # fmt: skip
  def test_impossible_values_are_named(self, name, value):
    with pytest.raises(PosejaxError, match=rf'Augmentation\.{name}'):
      augment.Augmentation(**{name: value})

  def test_unknown_choices(self):
    with pytest.raises(PosejaxError, match=r"\.distribution 'truncate'.*'truncated'"):
      augment.Augmentation(distribution='truncate')
    with pytest.raises(PosejaxError, match=r"\.shift_of 'boxes'.*'box'"):
      augment.create('mmpose', shift_of='boxes')

  def test_create_replaces_fields_of_a_preset(self):
    augmentation = augment.create('hrnet', rotation=30, color=0.5)
    assert augmentation == dataclasses.replace(augment.PRESETS['hrnet'], rotation=30, color=0.5)

  def test_create_names_what_it_does_not_know(self):
    with pytest.raises(PosejaxError, match=r"'hrnett'.*'hrnet'"):
      augment.create('hrnett')
    with pytest.raises(PosejaxError, match=r"'rotations'.*'rotation'"):
      augment.create('hrnet', rotations=3)
