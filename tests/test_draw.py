import cv2
import numpy as np
import pytest

from posejax import codecs, draw, skeletons

BLANK = np.zeros((60, 90, 3), np.uint8)


def centroid(image, color):
  weight = (np.abs(image.astype(int) - color).max(-1) < 40).astype(float)
  ys, xs = np.nonzero(weight)
  return xs.mean(), ys.mean()


def test_a_keypoint_is_drawn_where_it_is_in_its_sides_colour():
  keypoints = np.zeros((17, 2))
  keypoints[skeletons.COCO.index('left_wrist')] = (70.5, 20.25)
  keypoints[skeletons.COCO.index('right_wrist')] = (20.25, 40.5)
  shown = keypoints.any(axis=1)
  # Filled without its white rim, so that the dot's centre of mass is the keypoint.
  image = draw.draw_skeleton(BLANK, keypoints, skeletons.COCO, shown, thickness=4)
  for name, side in (('left_wrist', 'left'), ('right_wrist', 'right')):
    at = keypoints[skeletons.COCO.index(name)]
    np.testing.assert_allclose(centroid(image, draw.SIDE_COLORS[side]), at, atol=0.3)
  assert not BLANK.any(), 'the input is left alone'


def test_a_limb_needs_both_its_ends():
  keypoints = np.full((17, 2), 30.0)
  keypoints[skeletons.COCO.index('left_elbow')] = (60, 30)
  shown = np.zeros(17, bool)
  shown[skeletons.COCO.index('left_elbow')] = True
  alone = draw.draw_skeleton(BLANK, keypoints, skeletons.COCO, shown)
  assert not alone[:, :50].any()
  shown[skeletons.COCO.index('left_wrist')] = True
  joined = draw.draw_skeleton(BLANK, keypoints, skeletons.COCO, shown)
  assert joined[30, 45].any()


def test_enlarging_keeps_points_on_their_pixels():
  image = BLANK.copy()
  image[11, 37] = 255
  large, points = draw.enlarge(image, [[37, 11]], 3)
  assert large.shape == (180, 270, 3)
  ys, xs = np.nonzero(large[..., 0])
  np.testing.assert_allclose(points[0], [xs.mean(), ys.mean()])


def test_a_heatmap_lights_the_picture_at_its_cell():
  heatmaps = np.zeros((15, 30, 2), np.float32)
  heatmaps[4, 25, 1] = 1.0
  image = draw.overlay_heatmaps(BLANK, heatmaps, (3.0, 4.0))
  y, x = np.unravel_index(image.sum(-1).argmax(), image.shape[:2])
  assert (x, y) == (25 * 3, 4 * 4)


@pytest.mark.parametrize('codec', ['msra', 'dark', 'udp', 'movenet', 'regression'])
@pytest.mark.parametrize('factor', [1, 3])
def test_heat_lies_where_the_skeleton_is_drawn(codec, factor):
  H, W = 96, 64
  size = {} if codec in ('movenet', 'regression') else {'heatmap_size': (H // 4, W // 4)}
  made = codecs.create(codec, crop_size=(H, W), **size)
  points = np.float32([[[32.0, 52.0]]])  # of codecs that round, a cell's
  maps = np.asarray(made.target_maps(*made.encode(points, np.ones((1, 1)))))[0]
  image, (point,) = draw.enlarge(np.zeros((H, W, 3), np.uint8), points[0], factor)
  heat = draw.overlay_heatmaps(image, maps, made.map_cell, factor).astype(float).sum(-1)
  heat -= heat.min()
  ys, xs = np.mgrid[: H * factor, : W * factor]
  middle = [(heat * axis).sum() / heat.sum() for axis in (xs, ys)]
  np.testing.assert_allclose(middle, point, atol=0.3 * factor)


def test_contact_sheet_holds_every_picture():
  small, large = np.full((4, 6, 3), 200, np.uint8), np.full((8, 5, 3), 100, np.uint8)
  sheet = draw.contact_sheet([[small, large], [large]], gap=2)
  assert (sheet == 200).all(-1).sum() == small.shape[0] * small.shape[1]
  assert (sheet == 100).all(-1).sum() == 2 * large.shape[0] * large.shape[1]


def test_saved_pictures_keep_their_colours(tmp_path):
  image = BLANK.copy()
  image[..., 0] = 250
  draw.save(str(tmp_path / 'red.png'), image)
  assert cv2.imread(str(tmp_path / 'red.png'))[0, 0].tolist() == [0, 0, 250]  # BGR
  with pytest.raises((OSError, cv2.error)):
    draw.save(str(tmp_path / 'red.nothing'), image)


def test_heatmaps_of_a_net_gone_astray_are_drawn():
  maps = np.full((4, 6, 2), np.nan, np.float32)
  maps[1, 2], maps[2, 3] = (np.nan, 1.0), (np.inf, 0.0)
  image = np.full((40, 60, 3), 100, np.uint8)
  drawn = draw.overlay_heatmaps(image, maps, (10.0, 10.0))
  np.testing.assert_array_equal(
    drawn[-1, -1], draw.overlay_heatmaps(image, np.zeros((4, 6, 1)), (10.0, 10.0))[-1, -1]
  )
  for at in ((10, 20), (20, 30)):
    assert drawn[at].sum() > 1.5 * drawn[-1, -1].sum()
