"""Drawn digits: frozen, pure, as frequent as on houses, and legible."""

from concurrent.futures import ThreadPoolExecutor
import math

import cv2
import numpy as np
import pytest

from posejax.data.synthetic import glyphs
from posejax.data.synthetic.digits import LABEL_SPACE, SIDE, SyntheticDigits
from posejax.errors import PosejaxError
from tests.data import frozen


@pytest.fixture(scope='module')
def evaluation():
  source = SyntheticDigits('eval')
  return [source[i] for i in range(len(source))]


def test_evaluation_digits_are_frozen(evaluation):
  assert len(evaluation) == 512
  found = ''.join(str(example['label']) for example in evaluation[:64])
  assert found == frozen.DIGIT_LABELS, 'The frozen digits changed. Make a new version instead.'
  np.testing.assert_allclose(frozen.mean_levels(evaluation[:16]), frozen.DIGIT_LEVELS, atol=0.5)
  vectors = next((v for v in frozen.DIGIT_PIXELS_SHA256 if v in _cpu_features()), None)
  if cv2.__version__ == frozen.PIXELS_OPENCV and vectors:
    assert frozen.pixels_sha256(evaluation) == frozen.DIGIT_PIXELS_SHA256[vectors]


def _cpu_features() -> set[str]:
  extensions = np.show_config(mode='dicts')['SIMD Extensions']
  return {*extensions['baseline'], *extensions.get('found', ())}


def test_an_example_depends_on_its_number_alone():
  order = [7, 3, 11, 3, 0, 999_999, 5]
  once = {i: SyntheticDigits('train', seed=4)[i] for i in sorted(order)}
  source = SyntheticDigits('train', seed=4)
  with ThreadPoolExecutor(4) as pool:
    for i, example in zip(order * 2, pool.map(source.__getitem__, order * 2), strict=True):
      np.testing.assert_array_equal(example['image'], once[i]['image'])
      assert example['label'] == source.labels(i)['label'] == once[i]['label']
      assert example['image'].shape == (SIDE, SIDE, 3)
      assert example['image'].dtype == np.uint8


def test_splits_and_seeds_are_disjoint_and_eval_ignores_the_seed():
  sources = [SyntheticDigits('train', seed=s) for s in (0, 1)] + [SyntheticDigits('eval')]
  images = [source[0]['image'] for source in sources]
  assert all(not np.array_equal(a, b) for i, a in enumerate(images) for b in images[:i])
  assert len({source.fingerprint for source in sources}) == 3
  again = SyntheticDigits('eval', seed=5)
  assert again.fingerprint == sources[2].fingerprint
  np.testing.assert_array_equal(again[9]['image'], sources[2][9]['image'])
  with pytest.raises(PosejaxError, match="'test'"):
    SyntheticDigits('test')
  with pytest.raises(IndexError, match='asked for number -1'):
    sources[0][-1]


def test_digits_are_as_frequent_as_on_houses():
  # 13,861 ones and 4,659 nines among SVHN's 73,257: within four standard deviations.
  source = SyntheticDigits()
  number = 4000
  counts = np.bincount([source.labels(i)['label'] for i in range(number)], minlength=10)
  for digit, share in ((0, 4948 / 73257), (1, 13861 / 73257), (9, 4659 / 73257)):
    apart = abs(counts[digit] / number - share) / math.sqrt(share * (1 - share) / number)
    assert apart < 4, LABEL_SPACE.class_names[digit]


def test_shapes_are_signed_distances_with_holes_where_digits_have_them():
  shapes = glyphs.load()
  assert shapes.fields.shape[1:] == (10, glyphs.SIZE, glyphs.SIZE)
  for font in shapes.fields:
    for digit, field in enumerate(font):
      steps = np.abs(np.diff(field, axis=0)).max() * glyphs.PER_HEIGHT
      assert steps < 1.2, 'a distance cannot change faster than the way'
      holes = cv2.connectedComponents(np.uint8(field < 0), connectivity=4)[0] - 2
      assert holes == {0: 1, 1: 0, 8: 2}.get(digit, holes), digit  # scripts close others too
      rows = np.flatnonzero((field > 0).any(1))
      assert abs((rows[-1] - rows[0] + 1) - glyphs.PER_HEIGHT) <= 2


def test_the_drawn_digit_is_the_labelled_one(evaluation):
  # The nearest of the training digits, compared after removing brightness and contrast, tells the
  # class far above chance, though both are cluttered: so pictures and labels belong together.
  source = SyntheticDigits('train', num_examples=3000)

  def features(examples):
    grey = np.stack([cv2.resize(e['image'], (12, 12)).mean(-1).ravel() for e in examples])
    grey -= grey.mean(1, keepdims=True)
    return grey / np.linalg.norm(grey, axis=1, keepdims=True)

  train = [source[i] for i in range(len(source))]
  # A negative has the same shape.
  nearest = np.abs(features(evaluation) @ features(train).T).argmax(1)
  found = np.array([train[i]['label'] for i in nearest])
  assert np.mean(found == [e['label'] for e in evaluation]) > 0.3
