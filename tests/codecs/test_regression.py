import jax.numpy as jnp
import numpy as np
import pytest

from posejax import codecs, skeletons
from tests import compiling
from tests.codecs.arrays import Arrays

CROP = (64, 48)  # H, W
CODEC = Arrays(codecs.create('regression', crop_size=CROP))
_encode = compiling.jit(CODEC.encode)
_decode = compiling.jit(CODEC.decode)


def test_targets_are_fractions_of_the_crop():
  keypoints = np.array([[[12, 16], [0, 63], [47, 0]]], np.float32)
  targets, weights = _encode(keypoints, np.array([[2, 1, 2]]))
  np.testing.assert_allclose(targets[0], [[0.25, 0.25], [0, 63 / 64], [47 / 48, 0]])
  np.testing.assert_array_equal(weights, [[1, 1, 1]])


def test_decode_of_encode_is_exact():
  rng = np.random.default_rng(0)
  keypoints = rng.uniform((0, 0), (47, 63), (5, 9, 2)).astype(np.float32)
  targets, weights = _encode(keypoints, np.ones((5, 9)))
  decoded, scores = _decode(targets)
  np.testing.assert_allclose(decoded, keypoints, atol=1e-4)
  assert np.all(np.asarray(weights) == 1)
  np.testing.assert_array_equal(scores, np.ones((5, 9)))


def test_what_is_not_labelled_or_lies_outside_counts_for_nothing():
  keypoints = np.array([[[np.nan, 5], [-0.5, 5], [47.5, 5], [5, 63.5], [5, 5]]], np.float32)
  targets, weights = _encode(keypoints, np.array([[0, 2, 2, 1, 0]]))
  np.testing.assert_array_equal(weights, [[0, 0, 0, 0, 0]])
  assert np.isfinite(targets).all()


def test_scores_say_how_sure_the_net_is():
  outputs = np.zeros((1, 2, 4), np.float32)
  outputs[0, 0, 2:] = np.log(0.1 / 0.9), np.log(0.3 / 0.7)  # sigmas of 0.1 and 0.3
  outputs[0, 1, 2:] = 20, 20
  _, scores = _decode(outputs)
  np.testing.assert_allclose(scores[0], [0.8, 0.0], atol=1e-6)


@pytest.mark.parametrize('width', [2, 4])
def test_the_flip_is_exact_with_the_shift_and_a_pixel_off_without(width):
  permutation = skeletons.COCO.flip_permutation
  rng = np.random.default_rng(1)
  keypoints = rng.uniform((0, 0), (47, 63), (2, 17, 2)).astype(np.float32)
  mirrored = keypoints.copy()
  mirrored[..., 0] = CROP[1] - 1 - mirrored[..., 0]
  outputs, _ = _encode(mirrored[:, permutation], np.ones((2, 17)))
  spreads = np.arange(17, dtype=np.float32)[None, :, None] * np.ones((2, 1, 2), np.float32)
  outputs = jnp.concatenate([outputs, spreads[:, permutation]], -1)[..., :width]

  for shift, off in ((True, 0), (False, 1)):
    turned = CODEC.flip(outputs, permutation, shift)
    decoded, _ = _decode(turned)
    np.testing.assert_allclose(decoded, keypoints + np.array([off, 0]), atol=1e-4)
    np.testing.assert_array_equal(turned[..., 2:], spreads[..., : width - 2])
  twice = CODEC.flip(CODEC.flip(outputs, permutation, True), permutation, True)
  np.testing.assert_allclose(twice, outputs, atol=1e-6)


def test_the_flip_test_averages_sigmas_and_not_their_logits():
  rng = np.random.default_rng(2)
  outputs, mirrored = rng.normal(0, 2, (2, 3, 17, 4)).astype(np.float32)
  outputs[0, 0], mirrored[0, 0] = (0.25, 0.5, 2, 2), (0.75, 0.5, -1, -1)
  outputs[0, 1, 2:], mirrored[0, 1, 2:] = 90, -90
  keypoints, scores = _decode(compiling.jit(CODEC.average)(outputs, mirrored))
  # As mmpose and the authors of RLE do it: the sigmoid first, then the mean of both, then the score.
  sigmas = [
    1 / (1 + np.exp(-logits.astype(float))) for logits in (outputs[..., 2:], mirrored[..., 2:])
  ]
  np.testing.assert_allclose(scores, 1 - np.mean(sigmas, axis=(0, -1)), atol=1e-6)
  np.testing.assert_allclose(keypoints, (outputs + mirrored)[..., :2] / 2 * (48, 64), atol=1e-4)
  # By hand: sigmoid(2) = 0.880797 and sigmoid(-1) = 0.268941; sigmoid of the mean, 0.5, is 0.622459.
  np.testing.assert_allclose(scores[0, 0], 1 - (0.880797 + 0.268941) / 2, atol=1e-6)
  np.testing.assert_array_equal(keypoints[0, 0], [24, 32])
  assert scores[0, 1] == 0.5
  plain = compiling.jit(CODEC.average)(outputs[..., :2], mirrored[..., :2])
  np.testing.assert_array_equal(plain, (outputs + mirrored)[..., :2] / 2)


def test_keypoints_are_finite_whatever_comes():
  outputs = np.full((1, 3, 4), np.nan, np.float32)
  outputs[0, 1] = np.inf
  keypoints, _ = _decode(outputs)
  assert np.isfinite(keypoints).all()


def test_maps_show_the_keypoints_where_they_are():
  # At the middle of pixel (11, 40): cells are taken the way the picture is enlarged to.
  targets, weights = _encode(np.array([[[11.0, 40.0], [30.0, 20.0]]]), np.array([[2, 0]]))
  maps = np.asarray(compiling.jit(CODEC.target_maps)(targets, weights))
  assert maps[..., 1].max() == 0
  y, x = np.unravel_index(maps[0, :, :, 0].argmax(), maps.shape[1:3])
  h, w = maps.shape[1:3]
  assert abs((x + 0.5) / w * CROP[1] - 11.5) <= 0.5 * CROP[1] / w
  assert abs((y + 0.5) / h * CROP[0] - 40.5) <= 0.5 * CROP[0] / h
