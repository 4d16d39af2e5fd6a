"""Skeletons on pictures: where they lie, in which colours, how faded."""

import numpy as np
import pytest

from posejax import draw
from posejax.infer import overlay
from posejax.infer.results import Instance, Result
from posejax.labels import LabelSpace, people
from posejax.skeletons import COCO, Skeleton
from tests.web import beacons

HW = (200, 320)
GREY = np.full((*HW, 3), 128, np.uint8)
DOTS = people(Skeleton('dots', ('left_a', 'right_b', 'c'), (), (('left_a', 'c'),), (0.1,) * 3))


def person(points, scores=0.9, box=(0, 0, 319, 199), visible=None, **changes):
  points = np.array(points, np.float32)
  scores = np.broadcast_to(np.float32(scores), len(points))
  visible = np.ones(len(points), bool) if visible is None else np.array(visible)
  return Instance(np.array(box, np.float32), 0.8, 0, points, scores, visible, **changes)


def drawn(*instances, labels=DOTS, image=GREY, **options):
  return overlay.draw_result(image, Result(HW, instances), labels, **options)


def changed(picture):
  """Return where a picture is not grey, and by how much: `(ys, xs, weights)`."""
  weights = np.abs(picture.astype(float) - 128).sum(-1)
  ys, xs = np.nonzero(weights)
  return ys, xs, weights[ys, xs]


# Also between pixels, and at the picture's last.
@pytest.mark.parametrize('at', [(60.0, 40.0), (60.5, 40.25), (101.75, 99.5), (250.3, 150.7)])
def test_a_point_lies_where_the_keypoint_does(at):
  alone = person([at, (0, 0), (0, 0)], visible=[True, False, False])
  ys, xs, weights = changed(drawn(alone))
  assert len(xs) > 3
  centre = (xs * weights).sum() / weights.sum(), (ys * weights).sum() / weights.sum()
  np.testing.assert_allclose(centre, at, atol=0.15)


def test_a_limb_leads_from_one_keypoint_to_the_other_and_its_colour_is_its_sides():
  picture = drawn(person([(40, 50), (200, 60), (140, 120)]))
  for part in (0.25, 0.5, 0.75):
    x, y = (1 - part) * np.array([40, 50]) + part * np.array([140, 120])
    np.testing.assert_array_equal(picture[round(y), round(x)], draw.SIDE_COLORS['left'])
  # Its points: inside the white rims.
  for (x, y), side in (((40, 50), 'left'), ((200, 60), 'right'), ((140, 120), 'middle')):
    np.testing.assert_array_equal(picture[y, x], draw.SIDE_COLORS[side])
  # 30 pixels beside the limb nothing is.
  np.testing.assert_array_equal(picture[110:, :100], GREY[110:, :100])


def test_a_limb_from_edge_to_edge_is_faded_as_any():
  # What is drawn on then is as wide as the picture.
  wide = drawn(person([(2, 100), (100, 20), (317, 100)], 0.2))
  short = drawn(person([(40, 100), (100, 20), (280, 100)], 0.2))
  np.testing.assert_array_equal(wide[100, 160], short[100, 160])
  assert np.abs(wide[100, 160].astype(int) - draw.SIDE_COLORS['left']).max() > 20


def test_what_is_not_visible_is_not_drawn():
  picture = drawn(person([(40, 50), (200, 60), (140, 120)], visible=[False, True, True]))
  np.testing.assert_array_equal(picture[:, :100], GREY[:, :100])
  np.testing.assert_array_equal(
    drawn(person([(40, 50), (200, 60), (140, 120)], visible=[False] * 3)), GREY
  )


def test_the_unsure_is_faded():
  def strength(score):
    picture = drawn(person([(40, 50), (200, 60), (140, 120)], [0.9, 0.9, score]))
    middle, end = picture[85, 90].astype(int), picture[120, 140].astype(int)
    return np.abs(middle - 128).sum(), np.abs(end - 128).sum()

  strengths = np.array([strength(score) for score in (0.2, 0.4, 0.9)])
  assert (np.diff(strengths, axis=0) > 15).all()
  assert (strengths[0] > 20).all()  # and still seen
  # A sure point at an unsure limb is not faded.
  picture = drawn(person([(40, 50), (200, 60), (140, 120)], [0.9, 0.9, 0.2]))
  np.testing.assert_array_equal(picture[50, 40], draw.SIDE_COLORS['left'])


@pytest.mark.parametrize(
  'points',
  [
    [(-500, 50), (200, -60), (1000, 120)],
    [(-3, -3), (322, 203), (160, -2)],
    [(1e6, -1e6), (-1e6, 1e6), (3, 3)],
    [(1e30, 5), (-1e30, -1e30), (5, 5)],
    [(np.nan, 5), (np.inf, 7), (5, 5)],
  ],
)
def test_keypoints_outside_the_picture(points):
  picture = drawn(person(points))
  assert picture.shape == GREY.shape


def test_a_limb_that_leaves_the_picture_is_drawn_up_to_its_border():
  picture = drawn(person([(100, 100), (10, 10), (100, 400)]))
  np.testing.assert_array_equal(picture[198, 100], draw.SIDE_COLORS['left'])


def test_the_original_stays_as_it_is():
  image = beacons.paint(HW, [beacons.figure(100, 20, 150)])
  before = image.copy()
  picture = drawn(person([(40, 50), (200, 60), (140, 120)]), image=image)
  np.testing.assert_array_equal(image, before)
  assert not np.shares_memory(picture, image)
  empty = drawn(image=image)
  np.testing.assert_array_equal(empty, image)
  assert not np.shares_memory(empty, image)
  image.setflags(write=False)
  drawn(person([(40, 50), (200, 60), (140, 120)]), image=image)


def test_boxes_have_their_ids_and_the_whole_picture_has_none():
  box = (50, 40, 150, 120)
  nobody = np.zeros((3, 2))
  one, two = (
    drawn(person(nobody, box=box, visible=[False] * 3, track_id=i), labels=DOTS) for i in (1, 2)
  )
  for picture in (one, two):
    ys, xs, _ = changed(picture)
    # The tag stands above the box.
    assert (xs.min(), xs.max() >= 150) == (49, True) or xs.min() == 50
    assert ys.max() in (120, 121)
  assert (one[80, 50] != two[80, 50]).any()
  np.testing.assert_array_equal(
    drawn(person(nobody, box=box, visible=[False] * 3), boxes=False), GREY
  )
  np.testing.assert_array_equal(drawn(person(nobody, visible=[False] * 3)), GREY)
  np.testing.assert_array_equal(drawn(person(nobody, box=box), min_score=0.9), GREY)


def test_things_without_keypoints_have_box_and_name():
  labels = LabelSpace(('cat', 'dog'))
  thing = Instance(np.array([0, 0, 319, 199], np.float32), 0.7, 1)
  assert (drawn(thing, labels=labels) != GREY).any()


def test_heat_is_laid_under_the_skeleton():
  heat = np.zeros(HW, np.float32)
  heat[100:120, 200:220] = 1
  picture = drawn(person([(40, 50), (210, 110), (140, 120)]), heat=heat)
  np.testing.assert_array_equal(picture[110, 210], draw.SIDE_COLORS['right'])
  hot, cold = picture[117, 203].astype(int), picture[150, 300].astype(int)
  assert hot.sum() > cold.sum() + 200


def test_the_skeletons_of_a_crowd_stay_apart():
  small = people(COCO)
  points = np.random.default_rng(0).uniform((100, 80), (110, 100), (17, 2))
  ys, xs, _ = changed(drawn(person(points), labels=small))
  assert (xs.min() > 92, xs.max() < 118, ys.min() > 72, ys.max() < 108) == (True,) * 4
