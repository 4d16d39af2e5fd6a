"""Pictures with everybody on them, laid out on a detector's canvas."""

import dataclasses

import numpy as np
import pytest

from posejax.data.batches import EvalBatches, TrainBatches
from posejax.data.transforms import augment, instances
from posejax.data.transforms.canvas import Canvas
from posejax.data.transforms.crops import CropPerson
from posejax.errors import PosejaxError
from posejax.geometry import affine
from posejax.skeletons import COCO
from posejax.tasks.detection import measures

FILL = (10, 20, 30)
BLUE = (40, 90, 250)


def canvas(size=(64, 96), number=6, skeleton=None, **fields):
  return Canvas(size, number, FILL, augment.create('none', **fields), skeleton)


def picture(hw, boxes, **more):
  """Return a black picture on which every box is filled in blue, pixel by pixel."""
  image = np.zeros((*hw, 3), np.uint8)
  for x1, y1, x2, y2 in boxes:
    image[y1 : y2 + 1, x1 : x2 + 1] = BLUE
  boxes = np.reshape(np.array(boxes, np.float32), (-1, 4))
  return {
    'image': image,
    'boxes': boxes,
    'labels': np.arange(len(boxes), dtype=np.int32),
    'crowd': np.zeros(len(boxes), bool),
    **more,
  }


def blue(image):
  return np.abs(image.astype(int) - BLUE).max(-1) < 60


def seen(arrays):
  """Return the boxes by edges around what is blue, and those the arrays say."""
  boxes = arrays['boxes'][arrays['box_mask'] | arrays['box_ignore']]
  y, x = np.nonzero(blue(arrays['images']))
  return (np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) if len(x) else None), boxes


@pytest.mark.parametrize('hw', [(64, 96), (32, 48), (128, 100), (30, 200), (33, 47)])
def test_a_box_lies_where_its_picture_is(hw):
  h, w = hw
  box = (w // 4, h // 3, w // 4 + w // 3, h // 3 + h // 4)
  arrays = canvas()(picture(hw, [box]), np.random.default_rng(0))
  around, (found,) = seen(arrays)
  np.testing.assert_allclose(found, around, atol=1.01)
  scale = min(64 / h, 96 / w)
  np.testing.assert_allclose(arrays['image_size'], [h * scale, w * scale], atol=0.51)
  fh, fw = arrays['image_size']
  assert (arrays['images'][fh:] == FILL).all()
  assert (arrays['images'][:, fw:] == FILL).all()
  assert not (arrays['images'][: fh - 1, : fw - 1] == FILL).all(-1).any()
  # And back: the corners' outermost pixels.
  back = affine.transform_points(found.reshape(2, 2) - 0.5, arrays['crop_to_image']) + 0.5
  np.testing.assert_allclose(back.ravel(), np.add(box, (0, 0, 1, 1)), atol=1e-3)


@pytest.mark.parametrize('hw', [(64, 96), (32, 48), (128, 100), (30, 200), (33, 47)])
def test_in_the_middle_a_box_lies_where_its_picture_is(hw):
  h, w = hw
  box = (w // 4, h // 3, w // 4 + w // 3, h // 3 + h // 4)
  middle = dataclasses.replace(canvas(), centered=True)
  given = picture(hw, [box])
  arrays = middle(given, np.random.default_rng(0))
  around, (found,) = seen(arrays)
  np.testing.assert_allclose(found, around, atol=1.01)
  # As much is free before it as behind, and black is where the picture is.
  scale = min(64 / h, 96 / w)
  free = (np.array([96, 64]) - scale * np.array([w, h])) / 2
  near, far = np.ceil(free).astype(int), np.floor([96, 64] - free).astype(int)
  assert (arrays['images'][: int(free[1])] == FILL).all()
  assert (arrays['images'][:, far[0] + 1 :] == FILL).all()
  assert not (arrays['images'][near[1] : far[1], near[0] : far[0]] == FILL).all(-1).any()
  back = affine.transform_points(found.reshape(2, 2) - 0.5, arrays['crop_to_image']) + 0.5
  np.testing.assert_allclose(back.ravel(), np.add(box, (0, 0, 1, 1)), atol=1e-3)
  # In use it is the same.
  shown, matrix = middle.view(given['image'], None)
  np.testing.assert_array_equal(shown, arrays['images'])
  reach = measures.filled_size(hw, matrix)
  np.testing.assert_allclose(reach, arrays['image_size'], atol=1)
  np.testing.assert_allclose(reach, ([96, 64] - free)[::-1], atol=0.51)


@pytest.mark.parametrize('seed', range(8))
def test_in_the_middle_what_is_zoomed_and_mirrored_stays_there(seed):
  fields = {'flip': 0.5, 'scale': 0.5, 'shift': 0.3, 'shift_probability': 1.0}
  middle = dataclasses.replace(canvas(**fields), centered=True)
  arrays = middle(picture((20, 90), [(30, 5, 59, 14)]), np.random.default_rng(seed))
  around, boxes = seen(arrays)
  if around is not None:
    np.testing.assert_allclose(boxes[0], around, atol=1.3)
  rows = np.flatnonzero((arrays['images'] != FILL).any((1, 2)))
  assert abs(rows[0] - (63 - rows[-1])) <= 1
  columns = np.flatnonzero((arrays['images'] != FILL).any((0, 2)))
  assert abs(columns[0] - (95 - columns[-1])) <= 1


def test_a_pixel_of_what_is_made_smaller_is_a_mean_where_asked():
  stripes = np.zeros((256, 384, 3), np.uint8)
  stripes[:, ::4] = 200
  means = dataclasses.replace(canvas(), averaged=True).view(stripes, None)[0]
  np.testing.assert_array_equal(means, np.full((64, 96, 3), 50))
  assert np.ptp(canvas().view(stripes, None)[0]) == 0  # between two of four: no stripe at all
  assert canvas().view(stripes, None)[0].max() == 0


def test_a_picture_of_the_canvas_size_stays_as_it_is():
  image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
  arrays = canvas()({**picture((64, 96), []), 'image': image}, np.random.default_rng(0))
  np.testing.assert_array_equal(arrays['images'], image)
  shown, matrix = canvas().view(image, None)
  np.testing.assert_array_equal(shown, image)
  np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-6)


def test_a_part_is_seen_as_a_picture_of_its_own():
  whole = picture((80, 120), [(50, 30, 69, 49)])['image']
  shown, matrix = canvas().view(whole, np.array([40, 20, 87, 51]))
  np.testing.assert_array_equal(shown, canvas().view(whole[20:52, 40:88], None)[0])
  np.testing.assert_allclose(affine.transform_points(np.zeros((1, 2)), matrix)[0], [39.75, 19.75])


@pytest.mark.parametrize('seed', range(12))
def test_zoomed_moved_and_mirrored_boxes_stay_with_their_pictures(seed):
  box = (30, 10, 59, 29)
  fields = {'flip': 0.5, 'scale': 0.5, 'shift': 0.3, 'shift_probability': 1.0}
  arrays = canvas(**fields)(picture((50, 90), [box]), np.random.default_rng(seed))
  around, boxes = seen(arrays)
  if around is None:
    assert not len(boxes)
  else:
    np.testing.assert_allclose(boxes[0], around, atol=1.3)
  h, w = arrays['image_size']
  assert (arrays['images'][h:] == FILL).all()
  assert (arrays['images'][:, w:] == FILL).all()


def test_mirrored_people_change_sides():
  keypoints = np.random.default_rng(0).uniform((20, 10), (50, 40), (1, 17, 2)).astype(np.float32)
  visibility = np.arange(17, dtype=np.int32)[None] % 3
  given = picture((64, 96), [(18, 8, 52, 42)], keypoints=keypoints, visibility=visibility)
  arrays = canvas(flip=1.0, skeleton=COCO)(given, np.random.default_rng(0))
  left, right = COCO.index('left_wrist'), COCO.index('right_wrist')
  found = arrays['keypoints'][0]
  np.testing.assert_allclose(found[left], [95, 0] + keypoints[0, right] * [-1, 1], atol=1e-4)
  assert arrays['visibility'][0, left] == visibility[0, right]
  back = affine.transform_points(found, arrays['crop_to_image'])
  np.testing.assert_allclose(back, keypoints[0][COCO.flip_permutation], atol=1e-3)
  np.testing.assert_array_equal(arrays['images'], given['image'][:, ::-1])


def test_what_a_window_cuts_off_is_cut_hidden_or_gone():
  axis_map = instances.AxisMap((2.0, 2.0), (-10.0, 0.0))
  some = instances.Instances(
    np.array([[4, 5, 20, 10], [0, 5, 5.4, 10], [0, 5, 5, 10], [30, 0, 40, 10]], float),
    np.arange(4),
    np.array([False, False, False, True]),
    np.array([[[6.0, 6]], [[2, 6]], [[2, 6]], [[35, 5]]]),
    np.full((4, 1), 2),
  )
  moved = some.moved(axis_map, np.array([0, 0, 60, 40]), None)
  assert moved.labels.tolist() == [0, 1, 3]
  np.testing.assert_allclose(moved.boxes[0], [0, 10, 30, 20])
  assert moved.ignore.tolist() == [False, True, True]  # a remnant, and a crowd
  assert moved.visibility[:, 0].tolist() == [2, 0, 0]


def test_the_largest_are_kept_in_their_order():
  boxes = [(0, 0, 5, 5), (10, 10, 50, 40), (0, 30, 1, 31), (60, 0, 90, 60)]
  arrays = canvas(number=2)(picture((64, 96), boxes), np.random.default_rng(0))
  assert arrays['labels'].tolist() == [1, 3]
  assert arrays['box_mask'].all()


def test_crowds_are_ignored_and_places_without_a_box_are_nothing():
  boxes = [(5, 5, 20, 20), (30, 10, 80, 50)]
  given = picture((64, 96), boxes, crowd=np.array([False, True]))
  arrays = canvas()(given, np.random.default_rng(0))
  assert arrays['box_mask'].tolist() == [True, False, False, False, False, False]
  assert arrays['box_ignore'].tolist() == [False, True, False, False, False, False]
  assert not arrays['boxes'][2:].any()


@pytest.mark.parametrize('more', [{}, {'boxes': np.zeros((0, 4))}])
def test_a_picture_without_annotation_is_one(more):
  image = np.full((40, 40, 3), 7, np.uint8)
  arrays = canvas()({'image': image, **more}, np.random.default_rng(0))
  assert not arrays['box_mask'].any()
  assert arrays['boxes'].shape == (6, 4)


def test_empty_boxes_and_those_outside_are_left_out_and_counted():
  boxes = np.array([[5, 5, 20, 20], [9, 9, 8, 12], [200, 5, 220, 9], [3, 3, 30, 30]], np.float32)
  given = {
    'image': np.zeros((64, 96, 3), np.uint8),
    'boxes': boxes,
    'labels': np.zeros(4, np.int32),
    'crowd': np.zeros(4, bool),
    'areas': np.array([225.0, 1, 9, 0]),
  }
  arrays = canvas()(given, np.random.default_rng(0))
  assert arrays['box_mask'].sum() == 1
  source = Pictures([given, {**given, 'areas': np.ones(4)}])
  assert instances.survey(source, 2) == {
    'boxes without area or outside their picture': 3,
    'boxes beyond the 2 largest of a picture': 1,
  }
  source.max_boxes = 2
  assert instances.survey(source, 2) == {}


class Pictures(list):
  def labels(self, index):
    return {key: value for key, value in self[index].items() if key != 'image'}


@pytest.mark.parametrize('seed', range(8))
def test_a_mosaics_boxes_lie_where_its_pictures_are(seed):
  # Boxes of one colour each: what is seen of one is where its box says.
  given = []
  for k, hw in enumerate([(60, 90), (40, 40), (90, 50), (64, 96)]):
    one = picture(hw, [(hw[1] // 5, hw[0] // 5, hw[1] // 5 * 4, hw[0] // 5 * 4)])
    one['image'][blue(one['image'])] = (
      np.eye(3, dtype=np.uint8)[k] * 255 if k < 3 else (255, 255, 0)
    )
    given.append({**one, 'labels': np.array([k], np.int32)})
  make = canvas(size=(96, 128), flip=0.5, mosaic=1.0)
  rng = np.random.default_rng(seed)
  assert len(make.others(rng, 9)) == 3
  arrays = make(given[0], rng, given[1:])
  colors = [*(np.eye(3) * 255), np.array([255, 255, 0])]
  there = arrays['box_mask'] | arrays['box_ignore']
  for k, color in enumerate(colors):
    mask = np.abs(arrays['images'].astype(float) - color).max(-1) < 100
    own = arrays['boxes'][there & (arrays['labels'] == k)]
    if mask.sum() < 12:
      continue
    y, x = np.nonzero(mask)
    np.testing.assert_allclose(own[0], [x.min(), y.min(), x.max() + 1, y.max() + 1], atol=2)
  assert there.sum() <= 4


def test_without_mosaic_no_other_picture_is_asked_for():
  rng = np.random.default_rng(0)
  assert canvas().others(rng, 5) == []
  assert rng.random() == np.random.default_rng(0).random()


def test_batches_are_a_function_of_seed_and_step():
  source = Pictures(picture((50 + i, 80), [(3, 4, 20 + i, 30)] * (i % 4)) for i in range(7))
  make = canvas(flip=0.5, scale=0.3, mosaic=0.5, color=1.0, brightness=0.3)
  first, again = (TrainBatches(source, make, 3, 4)(2) for _ in range(2))
  assert all(np.array_equal(first[key], again[key]) for key in first)
  halves = [TrainBatches(source, make, 3, 4, i, 2)(2) for i in (0, 1)]
  joined = {key: np.concatenate([half[key] for half in halves]) for key in first}
  assert all(np.array_equal(first[key], joined[key]) for key in first)
  assert not np.array_equal(first['images'], TrainBatches(source, make, 4, 4)(2)['images'])
  batches = EvalBatches(source, canvas(), 4)
  assert batches(1)['mask'].tolist() == [1, 1, 1, 0]
  assert not batches(1)['box_mask'][3].any()


@pytest.mark.parametrize('fields', [{'rotation': 10}, {'half_body': 0.5}])
def test_what_boxes_cannot_follow_is_refused(fields):
  with pytest.raises(PosejaxError, match=next(iter(fields))):
    canvas(**fields)


def test_mosaics_are_for_detectors_only():
  with pytest.raises(PosejaxError, match='mosaic'):
    CropPerson(COCO, (64, 48), 'msra', augment.create('none', mosaic=0.5))
