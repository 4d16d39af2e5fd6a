"""The data set itself: frozen, pure, and labelled as painted."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from posejax.data.sources.people import People
from posejax.data.synthetic import outline, render
from posejax.data.synthetic.people import NUM_EVAL, NUM_TRAIN, SHAPE, SyntheticPeople
from posejax.data.synthetic.scenes import MAX_PEOPLE, MAX_THINGS, SyntheticScenes
from posejax.errors import PosejaxError
from posejax.skeletons import COCO
from tests.data import frozen


@pytest.fixture(scope='module')
def evaluation():
  source = People(SyntheticPeople('eval'))
  return [source[i] for i in range(len(source))]


def test_evaluation_labels_are_frozen(evaluation):
  assert frozen.labels_sha256(evaluation) == frozen.LABELS_SHA256, (
    'The frozen people changed. Make a new version instead: docs/synthetic.md.'
  )


def test_evaluation_pixels_are_frozen(evaluation):
  np.testing.assert_allclose(frozen.mean_levels(evaluation[:16]), frozen.MEAN_LEVELS, atol=0.5)
  if cv2.__version__ == frozen.PIXELS_OPENCV:
    assert frozen.pixels_sha256(evaluation) == frozen.PIXELS_SHA256


def _equal(a, b):
  assert a.keys() == b.keys()
  return all(np.array_equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@pytest.mark.parametrize('make', [SyntheticPeople, SyntheticScenes])
def test_a_picture_depends_on_its_number_alone(make):
  order = [7, 3, 11, 3, 0, 999_999, 5]
  once = {i: make('train', seed=4)[i] for i in sorted(order)}
  source = make('train', seed=4)
  assert all(_equal(source[i], once[i]) for i in order)
  with ThreadPoolExecutor(4) as pool:
    assert all(map(_equal, pool.map(source.__getitem__, order * 4), [once[i] for i in order * 4]))
  assert all(np.array_equal(source.labels(3)[k], once[3][k]) for k in source.labels(3))


@pytest.mark.parametrize('make', [SyntheticPeople, SyntheticScenes])
def test_splits_and_seeds_are_disjoint_and_eval_ignores_the_seed(make):
  first = [make('train', seed=s)[0]['image'] for s in (0, 1, 2)] + [make('eval')[0]['image']]
  assert all(not np.array_equal(a, b) for i, a in enumerate(first) for b in first[:i])
  assert _equal(make('eval', seed=5)[9], make('eval')[9])
  assert make('eval', seed=5).fingerprint == make('eval').fingerprint
  prints = {make('train', seed=s).fingerprint for s in (0, 1)} | {make('eval').fingerprint}
  assert len(prints) == 3


def test_example_matches_its_contract(evaluation):
  h, w = SHAPE
  for example in evaluation:
    assert example['image'].shape == (h, w, 3)
    assert example['image'].dtype == np.uint8
    assert example['keypoints'].shape == (17, 2)
    assert example['keypoints'].dtype == np.float32
    assert example['visibility'].dtype == np.int32
    keypoints, seen = example['keypoints'], example['visibility']
    x0, y0, x1, y1 = example['box']
    assert 0 <= x0 < x1 <= w - 1
    assert 0 <= y0 < y1 <= h - 1
    inside = ((keypoints >= 0) & (keypoints <= (w - 1, h - 1))).all(-1)
    np.testing.assert_array_equal(seen > 0, inside)
    labelled = keypoints[seen > 0]
    assert np.all(labelled >= (x0 - 1e-3, y0 - 1e-3))
    assert np.all(labelled <= (x1 + 1e-3, y1 + 1e-3))
  counts = np.bincount(np.concatenate([e['visibility'] for e in evaluation]), minlength=3)
  assert counts[0] > 20  # cut-off limbs exist
  assert 0.2 < counts[1] / counts.sum() < 0.4


def test_lengths_and_bad_arguments():
  assert len(SyntheticPeople()) == NUM_TRAIN
  assert len(SyntheticPeople('eval')) == NUM_EVAL
  assert len(SyntheticPeople(num_examples=3)) == 3
  for index in (3, -1):
    with pytest.raises(IndexError, match='asked for number'):
      SyntheticPeople(num_examples=3)[index]
  with pytest.raises(PosejaxError, match="'test'"):
    SyntheticPeople('test')
  with pytest.raises(PosejaxError, match='512'):
    SyntheticPeople('eval', num_examples=513)
  with pytest.raises(PosejaxError, match='positive'):
    SyntheticPeople(num_examples=0)
  with pytest.raises(PosejaxError, match='600'):
    SyntheticScenes(shape=(600, 200))


_FINE = 8  # the id mask below is painted this much finer than the picture


def _id_mask(layers: render.Layers, shape) -> np.ndarray:
  """Number of the topmost outline, 0 for none, painted by OpenCV at `_FINE` times the resolution."""
  mask = np.zeros((shape[0] * _FINE, shape[1] * _FINE), np.uint16)
  for number, polygon in enumerate(layers.outer, 1):
    corners = np.rint((polygon * _FINE + (_FINE - 1) / 2) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, corners, number, cv2.LINE_8, 4)
  return mask


def _top_outline(mask, point):
  """Number painted at a point, or None within half a pixel of an outline."""
  x, y = np.rint(point * _FINE + (_FINE - 1) / 2).astype(int)
  r = _FINE // 2
  window = mask[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1]
  return int(window.flat[0]) if window.size and (window == window.flat[0]).all() else None


# Written down here on its own: which parts a visible limb joint may show.
_LIMB_PARTS = {
  'elbow': ('arm', 'sleeve', 'forearm'),
  'wrist': ('forearm', 'hand'),
  'knee': ('thigh', 'shin', 'trunks'),
  'ankle': ('shin', 'foot'),
}


def _check_visibility(layers, person, keypoints, visibility, shape) -> int:
  mask = _id_mask(layers, shape)
  checked = 0
  for name, point, seen in zip(COCO.keypoints, keypoints, visibility.tolist(), strict=True):
    number = _top_outline(mask, point) if seen else None
    if number is None:
      continue
    top, owner = layers.part[number - 1] if number else -1, layers.person[number - 1]
    part = outline.PARTS[top] if 0 <= top < len(outline.PARTS) else 'thing'
    side, _, joint = name.rpartition('_')
    if seen == 2:
      assert owner == person, (name, part)
      assert part != 'thing'
      other = {'left': 'right_', 'right': 'left_'}.get(side)
      assert other is None or not part.startswith(other), (name, part)
    if joint in _LIMB_PARTS:
      own = owner == person and (
        part in [f'{side}_{p}' for p in _LIMB_PARTS[joint]] or (part == 'skirt' and joint == 'knee')
      )
      assert own == (seen == 2), (name, part, seen)
      checked += 1
    if owner != person or part in ('thing', 'pack', 'mane'):
      assert seen == 1
  return checked


def test_visibility_is_what_the_painted_id_mask_says():
  source = SyntheticPeople('eval')
  checked = 0
  for i in range(150):
    labels = source.labels(i)
    checked += _check_visibility(
      source.layers(i), 0, labels['keypoints'][0], labels['visibility'][0], SHAPE
    )
  assert checked > 500


def test_a_visible_limb_joint_shows_its_own_colour():
  source = SyntheticPeople('eval')
  close, total = 0, 0
  for i in range(60):
    labels, layers = source.labels(i), source.layers(i)
    image = np.full((*SHAPE, 3), 255, np.uint8)
    render.paint(image, layers)
    for name, (x, y), seen in zip(
      COCO.keypoints, labels['keypoints'][0], labels['visibility'][0], strict=True
    ):
      side, _, joint = name.rpartition('_')
      if seen == 2 and joint == 'wrist':
        mine = np.isin(layers.part, [outline.PART[f'{side}_{p}'] for p in _LIMB_PARTS[joint]])
        wanted = np.concatenate(
          [c[mine & (layers.person == 0)] for c in (layers.tone, layers.shade)]
        )
        colour = image[round(float(y)), round(float(x))].astype(float)
        close += np.abs(wanted - colour).max(1).min() < 40
        total += 1
  assert total > 40
  assert close > 0.9 * total


def _normalised(example):
  box = example['box'].astype(float)
  return (example['keypoints'] - box[:2]) / (box[2:] - box[:2])


def test_median_pose_scores_at_most_a_quarter(evaluation):
  train = People(SyntheticPeople('train'))
  poses, seen = [], []
  for i in range(2000):
    example = train.labels(i)
    poses.append(_normalised(example))
    seen.append(example['visibility'] > 0)
  poses = np.where(np.stack(seen)[..., None], np.stack(poses), np.nan)
  median = np.nanmedian(poses, axis=0)
  right, counted = 0, 0
  for example in evaluation:
    keypoints, labelled = example['keypoints'], example['visibility'] > 0
    diagonals = [(a, b) for a, b in COCO.torso_indices if labelled[a] and labelled[b]]
    if not diagonals:
      continue
    torso = np.linalg.norm(np.subtract(*keypoints[list(diagonals[0])]))
    box = example['box']
    error = np.linalg.norm(median * (box[2:] - box[:2]) + box[:2] - keypoints, axis=1)
    right += (error[labelled] <= 0.2 * torso).sum()
    counted += labelled.sum()
  assert 0.15 < right / counted <= 0.25


def test_scene_matches_its_contract_and_its_mask():
  source = SyntheticScenes('eval')
  h, w = source.shape
  checked, crowds, kinds = 0, set(), set()
  for i in range(25):
    scene = source[i]
    count = int((scene['labels'] == 0).sum())
    crowds.add(count)
    assert scene['image'].shape == (h, w, 3)
    things = len(scene['boxes']) - count
    assert things <= MAX_THINGS
    assert scene['keypoints'].shape == (count + things, 17, 2)
    assert scene['visibility'].shape == (count + things, 17)
    assert not scene['visibility'][count:].any()
    assert (np.diff(scene['labels'] > 0) >= 0).all()  # people first
    kinds.update(scene['labels'].tolist())
    layers = source.layers(i)
    for x0, y0, x1, y1 in scene['boxes']:
      assert 0 <= x0 < x1 <= w - 1
      assert 0 <= y0 < y1 <= h - 1
    for k in range(count):
      x0, y0, x1, y1 = scene['boxes'][k]
      assert scene['crowd'][k] == ((scene['visibility'][k] == 2).sum() < 3)
      labelled = scene['keypoints'][k][scene['visibility'][k] > 0]
      assert np.all((labelled >= (x0 - 1e-3, y0 - 1e-3)) & (labelled <= (x1 + 1e-3, y1 + 1e-3)))
      checked += _check_visibility(
        layers, k, scene['keypoints'][k], scene['visibility'][k], source.shape
      )
  assert checked > 200
  assert max(crowds) == MAX_PEOPLE
  assert kinds == {0, 1, 2, 3}


def test_scenes_may_show_nobody_or_nothing():
  source = SyntheticScenes('eval')
  labels = [source.labels(i)['labels'] for i in range(150)]
  assert any(not len(one) for one in labels)
  assert any(len(one) and (one > 0).all() for one in labels)
  empty = next(i for i, one in enumerate(labels) if not len(one))
  scene = source[empty]
  assert scene['image'].std() > 3
  assert scene['boxes'].shape == (0, 4)
  assert scene['keypoints'].shape == (0, 17, 2)


def test_a_thing_lies_where_its_box_says():
  source = SyntheticScenes('eval')
  checked = 0
  for i in range(20):
    scene, layers = source.labels(i), source.layers(i)
    for k in np.flatnonzero((scene['labels'] > 0) & ~scene['crowd']):
      outlines = layers.outer[layers.person == k]
      assert len(outlines) > 1
      low, high = outlines.min((0, 1)), outlines.max((0, 1))
      h, w = source.shape
      expected = np.clip([*low, *high], 0, [w - 1, h - 1, w - 1, h - 1])
      np.testing.assert_allclose(scene['boxes'][k], expected, atol=1e-4)
      checked += 1
  assert checked > 10
