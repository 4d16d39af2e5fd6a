import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer.results import Instance
from posejax.infer.tracking import Follower, Tracker
from posejax.skeletons import COCO, Skeleton

HW = (200, 360)
IMAGE = np.zeros((*HW, 3), np.uint8)


class World:
  """People on a picture, a detector of them and a net that finds who is in the middle of a box."""

  def __init__(self, skeleton=COCO):
    self.people = {}  # name: (x, y)
    self.looked, self.boxes, self.overlooks = 0, [], set()
    form = np.random.default_rng(1).uniform([-12, -36], [12, 36], (skeleton.num_keypoints, 2))
    if skeleton is COCO:  # upright: shoulders above hips
      for name, at in (('shoulder', -24), ('hip', 4)):
        form[COCO.index(f'left_{name}')] = 8, at
        form[COCO.index(f'right_{name}')] = -8, at
    self.form = form

  def detect(self, image):
    assert image is IMAGE
    self.looked += 1
    there = [at for name, at in self.people.items() if name not in self.overlooks]
    boxes = [[x - 16, y - 40, x + 16, y + 40] for x, y in there]
    # Whatever their scores, what a detector returns is looked into.
    return np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.2)

  def pose(self, image, boxes):
    self.boxes.append(boxes)
    everywhere = [[0, 0, HW[1] - 1, HW[0] - 1]]
    return [self._inside(box) for box in (everywhere if boxes is None else boxes)][::-1]

  def _inside(self, box):
    box = np.asarray(box, float)
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    at = [np.array(p, float) for p in self.people.values()]
    at = [p for p in at if (np.abs(p - middle) <= half).all()]
    if not at:
      K = len(self.form)
      return Instance(box, 0.04, 0, np.tile(middle, (K, 1)), np.full(K, 0.04), np.zeros(K, bool))
    nearest = min(at, key=lambda p: np.linalg.norm(p - middle))
    K = len(self.form)
    return Instance(box, 0.8, 0, self.form + nearest, np.full(K, 0.8), np.ones(K, bool))


def found(instances):
  return sorted((one.track_id, round(float(one.keypoints[:, 0].mean()))) for one in instances)


def test_the_detector_looks_at_every_nth_frame_only():
  world = World()
  follower = Follower(world.pose, world.detect, Tracker(COCO, smoothing=None), every=5)
  centre = world.form[:, 0].mean()
  when = []
  for n in range(21):
    world.people = {'a': (60 + 3 * n, 90), 'b': (280 - 2 * n, 110)}
    instances = follower(IMAGE, n / 30)
    assert [one[1] for one in found(instances)] == sorted(
      [round(60 + 3 * n + centre), round(280 - 2 * n + centre)]
    )
    assert {one.track_id for one in instances} == {1, 2}
    when.append(follower.detected)
    assert len(world.boxes[-1]) == 2
  assert [n for n, detected in enumerate(when) if detected] == [0, 5, 10, 15, 20]
  assert world.looked == 5


def test_the_detector_looks_again_when_somebody_is_lost_and_then_no_more():
  world = World()
  follower = Follower(world.pose, world.detect, Tracker(COCO), every=100)
  when = []
  for n in range(30):
    world.people = {'a': (60, 90), 'b': (200, 90)}
    if n >= 10:
      del world.people['b']
    instances = follower(IMAGE, n / 30)
    when.append(follower.detected)
  assert [n for n, detected in enumerate(when) if detected] == [0, 11]
  assert len(instances) == 1


def test_while_nobody_is_there_the_detector_looks_at_every_frame():
  world = World()
  follower = Follower(world.pose, world.detect, Tracker(COCO), every=10)
  for n in range(6):
    assert follower(IMAGE, n / 30) == ()
  assert world.looked == 6
  assert not world.boxes  # and the net is not bothered
  world.people = {'a': (90, 90)}
  assert follower(IMAGE, 0.3) == ()
  assert [one.track_id for one in follower(IMAGE, 0.4)] == [1]
  assert world.looked == 7


def test_whom_the_detector_overlooks_is_found_again_under_the_same_id():
  world = World()
  follower = Follower(world.pose, world.detect, Tracker(COCO), every=4)
  for n in range(13):
    world.people = {'a': (100 + 4 * n, 90), 'b': (300, 100)}
    world.overlooks = {'a'} if n == 8 else set()
    instances = follower(IMAGE, n / 30)
    expected = {2} if n == 8 else {1, 2}
    assert len(expected) == len(instances)
  assert {one.track_id for one in instances} == {1, 2}


@pytest.mark.parametrize(
  'skeleton', [COCO, Skeleton('dots', ('a', 'b', 'c', 'd'), (), (), (0.1,) * 4)]
)
def test_without_a_detector_the_next_box_is_the_persons(skeleton):
  world = World(skeleton)
  follower = Follower(world.pose, None, Tracker(skeleton))
  low, high = world.form.min(0), world.form.max(0)
  for n in range(8):
    world.people = {'a': (180 + 3 * n, 100)}
    assert [one.track_id for one in follower(IMAGE, n / 30)] == [1]
    assert follower.detected == (n == 0)
    if n == 0:
      assert world.boxes[-1] is None  # anywhere
    else:
      (box,) = world.boxes[-1]
      # About a quarter longer than the pose of the frame before, about where it comes to.
      at, side = np.array(world.people['a']), box[2:] - box[:2]
      assert np.abs(box.reshape(2, 2).mean(0) - at - (low + high) / 2).max() < 4
      assert (side >= 1.24 * (high - low)).all()
      assert (side < 1.5 * (high - low)).all()
  world.people = {}
  for n in range(8, 11):
    assert follower(IMAGE, n / 30) == ()
  assert world.boxes[-1] is None
  assert follower.detected


def test_reset_begins_another_film():
  world = World()
  world.people = {'a': (90, 90)}
  follower = Follower(world.pose, world.detect, Tracker(COCO), every=50)
  follower(IMAGE, 7.0)
  follower(IMAGE, 7.1)
  follower.reset()
  assert [one.track_id for one in follower(IMAGE, 0.0)] == [2]
  assert world.looked == 2


def test_every_must_be_positive():
  with pytest.raises(PosejaxError, match='every'):
    Follower(None, None, Tracker(COCO), every=0)
