import numpy as np
import pytest

from posejax.data.transforms import augment, whole_picture
from posejax.errors import PosejaxError


def picture(h=20, w=32, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


def prepare(crop_size=(20, 32), **augmentation):
  return whole_picture.WholePicture(crop_size, augment.create('none', **augmentation))


def test_nothing_is_done_to_a_picture_of_the_right_size():
  example = {'image': picture(), 'label': 7}
  arrays = prepare()(example, np.random.default_rng(0))
  np.testing.assert_array_equal(arrays['images'], example['image'])
  assert arrays['labels'] == 7
  assert arrays['labels'].dtype == np.int32


def test_a_larger_picture_is_scaled_corner_on_corner():
  # Corners on corners: 39 and 63 pixels between the outer ones become 19 and 31.
  y, x = np.mgrid[:40, :64]
  image = np.stack([6 * y, 4 * x, 0 * x], -1).astype(np.uint8)
  small = prepare()({'image': image, 'label': 0}, np.random.default_rng(0))['images']
  y, x = np.mgrid[:20, :32]
  np.testing.assert_allclose(small[..., 0], 6 * 39 / 19 * y, atol=2)
  np.testing.assert_allclose(small[..., 1], 4 * 63 / 31 * x, atol=2)


def test_a_shift_moves_the_picture_and_no_augmentation_mirrors_it():
  # A ramp to the right stays a ramp to the right, whatever is drawn.
  x = np.tile(np.arange(32) * 7, (20, 1))
  image = np.repeat(x[..., None], 3, -1).astype(np.uint8)
  varied = prepare(shift=0.1, shift_probability=1.0, rotation=8.0, scale=0.1)
  offsets = []
  for seed in range(20):
    crop = varied({'image': image, 'label': 0}, np.random.default_rng(seed))['images'][..., 0]
    middle = crop[8:12, 6:26].astype(float).mean(0)
    assert (np.diff(middle) > 3).all()
    offsets.append((middle.mean() - image[0, 6:26, 0].mean()) / 7)
  assert max(offsets) > 1
  assert min(offsets) < -1
  assert max(map(abs, offsets)) < 5


def test_cutout_hides_a_square_of_the_mean_colour():
  image, sizes = picture(), []
  for seed in range(30):
    arrays = prepare(cutout=0.5)({'image': image, 'label': 0}, np.random.default_rng(seed))
    changed = (arrays['images'] != image).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    hidden = arrays['images'][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (hidden == np.rint(image.mean((0, 1)))).all()
    sizes.append(hidden.shape[:2])
  # Half of 20 pixels, cut by the border at times, along both axes.
  assert np.max(sizes) == 10
  assert {h for h, _ in sizes} != {10} != {w for _, w in sizes}


def test_flips_halves_and_small_pictures_are_refused():
  for name in ('flip', 'half_body'):
    with pytest.raises(PosejaxError, match=f'augment.{name} must be 0'):
      prepare(**{name: 0.5})
  with pytest.raises(
    PosejaxError, match=r'20x32 pixels is smaller than config.task.crop_size=\(32, 32\)'
  ):
    prepare((32, 32))({'image': picture(), 'label': 0}, np.random.default_rng(0))
