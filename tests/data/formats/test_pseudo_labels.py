import numpy as np

from posejax.data.formats import coco_write, pseudo_labels
from posejax.data.sources import coco_file
from posejax.data.sources.people import People
from posejax.skeletons import Skeleton
from tests.data import layouts

SIGN = Skeleton('sign', ('a', 'b', 'c'), (('a', 'b'),), (('a', 'c'),), (0.05,) * 3)
SIZES = {'one.jpg': (40, 60), 'two.jpg': (48, 64)}
KEYPOINTS = np.array(
  [
    [[10, 10], [20, 30], [30, 12]],
    [[5, 5], [6, 6], [7, 7]],
    [[40, 20], [59.4, 39.4], [70, 20]],
    [[20, 20], [20, 20], [30, 30]],
  ],
  np.float32,
)
SCORES = np.array(
  [[0.9, 0.5, 0.49], [0.9, 0.1, 0.1], [0.8, 0.6, 0.99], [0.9, 0.9, 0.0]], np.float32
)
NAMES = ['one.jpg', 'two.jpg', 'one.jpg', 'two.jpg']


def make(boxes=None, min_keypoints=2):
  return pseudo_labels.make(NAMES, KEYPOINTS, SCORES, SIZES, boxes, 0.5, min_keypoints)


def test_only_confident_keypoints_within_the_picture_are_labelled():
  made = make()
  assert [a['keypoints'] for a in made.annotations] == [
    [10, 10, 2, 20, 30, 2, 0, 0, 0],
    [40, 20, 2, np.float32(59.4), np.float32(39.4), 2, 0, 0, 0],  # the third is right of the edge
  ]
  assert made.left_out == {
    'people with fewer than 2 confident keypoints': 1,
    'people with an empty box': 1,  # both keypoints on one spot
  }
  assert made.kept_keypoints == 4
  assert [image['file_name'] for image in made.images] == ['one.jpg']
  assert made.annotations[0]['score'] == 0.7
  assert made.annotations[0]['keypoint_scores'] == [0.9, 0.5, 0.49]
  assert made.annotations[0]['bbox'] == [10, 10, 11, 21]


def test_given_boxes_are_kept_within_the_picture():
  boxes = np.array([[5, 5, 35, 35], [0, 0, 9, 9], [30, 10, 80, 45], [10, 10, 40, 40]], np.float32)
  made = make(boxes, min_keypoints=1)
  assert [a['bbox'] for a in made.annotations] == [
    [5, 5, 31, 31],
    [0, 0, 10, 10],
    [30, 10, 30, 30],
    [10, 10, 31, 31],
  ]
  assert [a['image_id'] for a in made.annotations] == [1, 2, 1, 2]
  assert made.left_out == {}


def test_what_is_written_is_read_to_train_on(tmp_path):
  made = make()
  path = str(tmp_path / 'pseudo.json')
  coco_write.write(path, [coco_write.category(SIGN)], SIGN, made.images, made.annotations, {})
  layouts.write(tmp_path / 'images' / 'one.jpg', layouts.jpeg(0, SIZES['one.jpg']))
  skeleton = {'flip_pairs': [['a', 'b']]}
  source = People(coco_file.CocoFile(path, str(tmp_path / 'images'), skeleton, on_error='skip'))
  assert len(source) == 2
  np.testing.assert_array_equal(source[0]['keypoints'][:2], KEYPOINTS[0, :2])
  np.testing.assert_array_equal(source[0]['visibility'], [2, 2, 0])
  np.testing.assert_array_equal(source[1]['keypoints'][:2], KEYPOINTS[2, :2])


def test_the_next_box_is_around_the_more_confident_keypoints():
  rng = np.random.default_rng(0)
  keypoints = rng.uniform((20, 12), (40, 30), (2, 20, 2)).astype(np.float32)
  scores = rng.uniform(0.5, 1, (2, 20)).astype(np.float32)
  keypoints[0, :3], scores[0, :3] = ((0, 0), (63, 47), (63, 0)), 0.1  # 17 of 20 are 85 %
  keypoints[1] = 25  # all on one spot
  boxes = np.array([[0, 0, 63, 47]] * 2, np.float32)
  again = pseudo_labels.tightened(['two.jpg'] * 2, keypoints, scores, SIZES, boxes)
  expected = [*keypoints[0, 3:].min(axis=0), *keypoints[0, 3:].max(axis=0)]
  np.testing.assert_array_equal(again, [expected, boxes[1]])
  far = keypoints + 30
  again = pseudo_labels.tightened(['two.jpg'] * 2, far, scores, SIZES, boxes)
  assert (again <= (63, 47, 63, 47)).all()
