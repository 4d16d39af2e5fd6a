import numpy as np
import pytest

from posejax import codecs, skeletons
from posejax.errors import PosejaxError
from tests import compiling
from tests.codecs.arrays import Arrays

CROP = (48, 36)  # H, W
CODEC = Arrays(codecs.create('discs', crop_size=CROP, radius=4.0))
_encode = compiling.jit(CODEC.encode)
_decode = compiling.jit(CODEC.decode)


def classes_by_loops(keypoints, visibility, radius):
  """One pixel and one keypoint at a time."""
  H, W = CROP
  classes = np.zeros((H, W), int)
  for y in range(H):
    for x in range(W):
      best = None
      for k, (u, v) in enumerate(keypoints):
        distance = np.hypot(x - u, y - v)
        if visibility[k] > 0 and distance <= radius and (best is None or distance < best):
          best, classes[y, x] = distance, k + 1
  return classes


def test_classes_equal_the_loops():
  rng = np.random.default_rng(0)
  keypoints = rng.uniform(-8, (44, 56), (4, 6, 2)).astype(np.float32)
  visibility = rng.integers(0, 3, (4, 6))
  classes, weights = _encode(keypoints, visibility)
  assert classes.dtype == np.int32
  for b in range(4):
    expected = classes_by_loops(keypoints[b].astype(float), visibility[b], 4.0)
    np.testing.assert_array_equal(classes[b], expected)
    for k in range(6):
      alone = classes_by_loops(keypoints[b, k : k + 1].astype(float), visibility[b, k : k + 1], 4.0)
      assert weights[b, k] == alone.any()
  assert 0 < np.asarray(weights).sum() < (visibility > 0).sum()


def test_the_edge_of_a_disc_belongs_to_it():
  classes, _ = _encode(np.array([[[10.0, 20.0]] * 6]), np.array([[0, 0, 0, 2, 2, 0]]))
  assert classes[0, 20, 14] == classes[0, 24, 10] == 4
  assert classes[0, 20, 15] == 0


def test_unlabelled_keypoints_leave_nothing_whatever_stands_there():
  keypoints = np.array([[[np.nan, 5], [1e30, -np.inf]] * 3], np.float32)
  classes, weights = _encode(keypoints, np.zeros((1, 6)))
  assert not np.any(classes)
  assert not np.any(weights)


def certain(classes, num_classes=7):
  """Logits of a net that is sure of the classes."""
  return 20 * np.eye(num_classes, dtype=np.float32)[np.asarray(classes)]


def test_decode_finds_the_middle_of_flat_discs():
  rng = np.random.default_rng(1)
  # Far from each other and from the border: whole discs.
  grid = np.array([[6, 6], [24, 7], [7, 20], [25, 22], [8, 36], [26, 38]], np.float32)
  keypoints = grid + rng.uniform(-0.5, 0.5, (4, 6, 2)).astype(np.float32)
  classes, _ = _encode(keypoints, np.full((4, 6), 2))
  decoded, scores = _decode(certain(classes))
  # Rounding to pixels costs up to 0.5 of one, and so does the disc's own outline.
  assert np.abs(np.asarray(decoded) - keypoints).max() <= 1
  assert np.asarray(scores).min() > 0.99


def test_a_disc_beats_a_brighter_speck():
  classes, _ = _encode(np.array([[[20.0, 30.0]] * 6]), np.array([[0, 0, 2, 0, 0, 0]]))
  logits = certain(classes) / 10
  logits[0, 5, 5, 3] = 20
  decoded, _ = _decode(logits)
  np.testing.assert_array_equal(decoded[0, 2], [20, 30])


@pytest.mark.parametrize('fill', [0.0, -1e30, 3e38, np.inf, np.nan])
def test_keypoints_are_finite_and_inside_whatever_comes(fill):
  keypoints, _ = _decode(np.full((1, *CROP, 7), fill, np.float32))
  assert np.isfinite(keypoints).all()
  assert np.asarray(keypoints).max() < max(CROP)


def test_the_flip_is_exact_and_keeps_the_background():
  permutation = skeletons.COCO.flip_permutation
  rng = np.random.default_rng(2)
  keypoints = rng.uniform((4, 4), (31, 43), (1, 17, 2)).astype(np.float32)
  mirrored = keypoints.copy()
  mirrored[..., 0] = CROP[1] - 1 - mirrored[..., 0]
  straight, _ = _encode(keypoints, np.ones((1, 17)))
  other, _ = _encode(mirrored[:, permutation], np.ones((1, 17)))
  turned = CODEC.flip(certain(other, 18), permutation, CODEC.shift_flip)
  # Where two discs are equally near, the first keypoint has the pixel, whichever side that is.
  assert np.mean(np.asarray(turned).argmax(-1) != np.asarray(straight)) < 0.003
  shifted = np.asarray(CODEC.flip(certain(other, 18), permutation, True))
  np.testing.assert_array_equal(shifted[:, :, 1:], np.asarray(turned)[:, :, :-1])
  np.testing.assert_array_equal(shifted[:, :, 0], np.asarray(turned)[:, :, 0])


def test_a_disc_needs_a_radius():
  with pytest.raises(PosejaxError, match='radius must be above 0'):
    codecs.create('discs', crop_size=CROP, radius=0)
  with pytest.raises(PosejaxError, match=r"'radios'.*'radius'"):
    codecs.create('discs', crop_size=CROP, radios=1)
