import cv2
import numpy as np
import pytest

from posejax import draw, skeletons
from posejax.data.inspect import sheets
from posejax.data.sources import coco_file
from posejax.data.sources.people import People
from tests.data import layouts

COCO = skeletons.COCO
WRIST = COCO.index('left_wrist')


def example(hw, point, box, radius):
  """Return one person with a left wrist at `point`, where the picture has a white spot."""
  image = np.zeros((*hw, 3), np.uint8)
  x, y = point
  image[y - radius : y + radius + 1, x - radius : x + radius + 1] = 255
  keypoints, visibility = np.zeros((17, 2), np.float32), np.zeros(17, np.int32)
  keypoints[WRIST], visibility[WRIST] = point, 2
  box = np.array(box, np.float32)
  return {'image': image, 'keypoints': keypoints, 'visibility': visibility, 'box': box}


def centroid(where):
  ys, xs = np.nonzero(where)
  return np.array([xs.mean(), ys.mean()])


@pytest.mark.parametrize(
  ('hw', 'point', 'box', 'radius'),
  [
    ((60, 90), (37, 21), (10, 5, 60, 50), 1),  # enlarged
    ((60, 90), (85, 54), (60, 40, 88, 58), 1),  # near the picture's corner
    ((900, 1300), (1000, 300), (850, 200, 1150, 800), 9),  # made smaller
    ((900, 1300), (40, 860), (850, 200, 1150, 700), 9),  # far outside its box
  ],
)
def test_a_keypoint_is_drawn_on_what_the_picture_shows_there(monkeypatch, hw, point, box, radius):
  given = example(hw, point, box, radius)
  drawn = sheets.person_tile(given, COCO, 'somebody')
  assert drawn.shape == (256 + 17, 256, 3)
  monkeypatch.setattr(draw, 'draw_skeleton', lambda image, *_: image)
  clean = sheets.person_tile(given, COCO, 'somebody')
  dot = np.abs(drawn[:256].astype(int) - clean[:256]).max(-1) > 0
  np.testing.assert_allclose(centroid(dot), centroid(clean[:256].min(-1) > 128), atol=0.75)
  assert (drawn[:256] == draw.SIDE_COLORS['left']).all(-1).any()
  if min(box) > 5 and point[0] > 60:
    # The box is drawn where it is: its middle to the point as in the picture.
    yellow = (np.abs(clean[:256].astype(int) - (255, 230, 0)).max(-1) < 40).nonzero()
    ys, xs = yellow
    scale = (xs.max() - xs.min()) / (box[2] - box[0])
    middle = np.array([xs.max() + xs.min(), ys.max() + ys.min()]) / 2
    offset = np.array(point) - (np.array(box[:2]) + box[2:]) / 2
    np.testing.assert_allclose(centroid(dot) - middle, offset * scale, atol=2.5)


def test_originals_of_a_file(tmp_path):
  dataset = layouts.coco_dataset(3)
  layouts.write(tmp_path / 'people.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  source = People(coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images')))
  assert sheets.describe(source.labels(3), 3) == '#3 id 21 000000000002.jpg'
  sheet = sheets.originals(source, [3, 0, 5], columns=2)
  tiles = [
    sheets.person_tile(source[i], COCO, sheets.describe(source.labels(i), i)) for i in (3, 0, 5)
  ]
  for tile in tiles:
    where = cv2.matchTemplate(sheet, tile, cv2.TM_SQDIFF)
    assert where.min() < 1e-6 * where.max()
  assert np.isin(draw.SIDE_COLORS['right'], sheet[:22]).all(), 'a legend above'


def test_panels_are_the_tasks_own_of_eight_at_a_time():
  sizes = []

  def draw_fn(batch, predictions):
    assert predictions == {}
    sizes.append(len(batch['index']))
    return {'panels': np.full((10, 30, 3), 10 * batch['index'][0], np.uint8)}

  rows = [{'index': np.array([i]), 'images': np.zeros((1, 2, 3, 3))} for i in range(11)]
  sheet = sheets.panels(rows, draw_fn)
  assert sizes == [8, 3]
  assert (sheet[22:] == 80).all(-1).sum() == 300
