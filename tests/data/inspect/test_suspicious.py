import numpy as np
import pytest

from posejax import skeletons
from posejax.data.inspect import suspicious, table
from posejax.data.sources.people import People
from posejax.data.synthetic.people import SyntheticPeople
from posejax.skeletons import Skeleton
from tests.data import layouts
from tests.data.stick import stick_figure

COCO = skeletons.COCO
BODY = ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')


def people(keypoints, visibility=None, boxes=None, names=None, skeleton=COCO):
  keypoints = np.asarray(keypoints, np.float32)
  if visibility is None:
    visibility = np.full(keypoints.shape[:2], 2)
  if boxes is None:
    boxes = np.concatenate([keypoints.min(axis=1) - 3, keypoints.max(axis=1) + 3], axis=1)
  if names is None:
    names = [{'index': i} for i in range(len(keypoints))]
  boxes = np.asarray(boxes, np.float32)
  return table.Table(skeleton, keypoints, np.asarray(visibility), boxes, names)


def swapped(figure, *parts, skeleton=COCO):
  """Return a figure whose left and right have changed places at some parts."""
  figure = figure.copy()
  for part in parts:
    pair = [skeleton.index(f'{side}_{part}') for side in ('left', 'right')]
    figure[pair] = figure[pair[::-1]]
  return figure


def kinds(found):
  return [(finding.kind, finding.name['index']) for finding in found]


@pytest.mark.parametrize('turn', [0, 50, 180, 270])
def test_a_good_annotation_is_not_suspicious_however_it_is_turned(turn):
  assert suspicious.find(people([stick_figure(COCO, turn), stick_figure(COCO, turn, 90)])) == []


@pytest.mark.parametrize(
  ('parts', 'where'),
  [
    (('knee',), {'hip and knee', 'knee and ankle'}),
    (('knee', 'ankle'), {'hip and knee'}),
    (('hip', 'knee', 'ankle'), {'shoulder and hip'}),
    (('wrist',), {'elbow and wrist'}),
    (('elbow', 'wrist'), {'shoulder and elbow'}),
    (('ankle',), {'knee and ankle'}),
  ],
)
@pytest.mark.parametrize('turn', [0, 140])
def test_swapped_sides_are_found_where_they_change(parts, where, turn):
  good = stick_figure(COCO, turn)
  found = suspicious.find(people([good, swapped(good, *parts)]))
  assert {finding.name['index'] for finding in found} == {1}
  crossed = [finding for finding in found if finding.kind == 'crossed sides']
  ends = {frozenset(finding.detail.rpartition('between ')[2].split(' and ')) for finding in crossed}
  assert ends == {frozenset(pair.split(' and ')) for pair in where}
  assert all(finding.strength > 1 for finding in crossed)


def test_sides_that_are_not_labelled_are_not_judged():
  figure = swapped(stick_figure(COCO), 'knee')
  visibility = np.full((1, 17), 2)
  visibility[0, COCO.index('left_knee')] = 0
  assert suspicious.find(people([figure], visibility)) == []


@pytest.mark.parametrize('skeleton', [skeletons.LSP, skeletons.MPII, skeletons.PANOPTIC])
def test_twisted_trunks_are_found_with_every_skeleton(skeleton):
  # MPII's and Panoptic's limbs go by the spine: shoulders and hips are joined by the torso only.
  good = stick_figure(skeleton)
  bad = swapped(good, 'hip', 'knee', 'ankle', skeleton=skeleton)
  found = suspicious.find(people([good, bad], skeleton=skeleton))
  assert kinds(found)[0] == ('crossed sides', 1)
  assert {finding.name['index'] for finding in found} == {1}


def test_faces():
  good = stick_figure(COCO, 20)
  mirrored = swapped(good, 'eye', 'ear')
  behind = swapped(good, *BODY)
  everything = swapped(behind, 'eye', 'ear')
  found = suspicious.find(people([good, mirrored, behind, everything]))
  # That the face is seen at all says that it is seen from the front.
  assert sorted(kinds(found)) == [
    ('face against trunk', 2),
    ('face against trunk', 3),
    ('mirrored face', 1),
    ('mirrored face', 3),
  ]
  # Seen from behind there is no face to see.
  visibility = np.full((1, 17), 2)
  visibility[0, :5] = 1
  assert suspicious.find(people([behind], visibility)) == []


def test_which_way_people_face():
  front = stick_figure(COCO, 160)
  mirror = front[COCO.flip_permutation] * (-1, 1)
  back = swapped(front, *BODY)
  middle = front[:, :1].mean()
  sideways = stick_figure(COCO, 0)
  sideways[:, 0] = middle + 0.05 * (sideways[:, 0] - middle)
  signs, known = suspicious.facing(people([front, mirror, back, sideways]))
  assert np.sign(signs).tolist() == [1, 1, -1, 0]
  assert known.all()


def test_one_spot_for_left_and_right():
  figure = stick_figure(COCO)
  figure[COCO.index('left_hip')] = figure[COCO.index('right_hip')]
  found = suspicious.find(people([stick_figure(COCO), figure]))
  assert ('left on right', 1) in kinds(found)
  assert 'left_hip and right_hip' in next(f for f in found if f.kind == 'left on right').detail


def test_boxes():
  figure = stick_figure(COCO)
  whole = [*(figure.min(axis=0) - 3), *(figure.max(axis=0) + 3)]
  waist = figure[COCO.index('left_hip'), 1] + 2
  upper = [*whole[:3], waist]
  thin = [50, 20, 55, 200]
  found = suspicious.find(people([figure] * 3, boxes=[whole, upper, thin]))
  by_index = {name: [f for f in found if f.name['index'] == name] for name in range(3)}
  assert by_index[0] == []
  assert [f.kind for f in by_index[1]] == ['outside the box']
  assert 'left_knee, right_knee, left_ankle, right_ankle' in by_index[1][0].detail
  assert {f.kind for f in by_index[2]} == {'outside the box', 'degenerate box'}
  # Beyond the box by so little is a matter of taste.
  near = [*whole[:3], figure[:, 1].max() - 1.5]
  assert suspicious.find(people([figure], boxes=[near])) == []


def test_the_same_person_twice_on_one_picture():
  figure = stick_figure(COCO)
  names = [{'index': i, 'image_id': image} for i, image in enumerate((5, 5, 5, 6))]
  found = suspicious.find(
    people([figure, np.add(figure, (40, 0)), figure + 0.5, figure], names=names)
  )
  assert kinds(found) == [('duplicate person', 2)]


def test_figures_without_any_of_these_parts_are_checked_for_the_rest():
  sign = Skeleton('sign', ('a', 'b', 'c', 'd'), (('a', 'b'), ('c', 'd')), (), (0.05,) * 4)
  corners = [[10, 10], [40, 10], [10, 30], [40, 30]]
  found = suspicious.find(
    people([corners, corners], boxes=[[8, 8, 42, 32], [8, 8, 42, 20]], skeleton=sign)
  )
  assert kinds(found) == [('outside the box', 1)]


def test_rates_on_drawn_people_whose_labels_are_right():
  source = People(SyntheticPeople('eval', 0, 150))
  given = table.read(source)
  crossed = {f.name['index'] for f in suspicious.find(given) if f.kind == 'crossed sides'}
  assert len(crossed) <= 5  # measured: 2; legs and arms do cross
  swap = given.keypoints.copy()
  pair = [COCO.index('left_hip'), COCO.index('right_hip')]
  both = (given.visibility[:, pair] > 0).all(axis=1)
  swap[:, pair] = swap[:, pair[::-1]]
  wrong = table.Table(COCO, swap, given.visibility, given.boxes, given.names)
  found = {f.name['index'] for f in suspicious.find(wrong) if f.kind == 'crossed sides'}
  wide = np.linalg.norm(swap[:, pair[0]] - swap[:, pair[1]], axis=-1) / given.sizes > 0.12
  share = np.mean([i in found for i in np.flatnonzero(both & wide)])
  assert share > 0.9


def test_what_never_becomes_a_label_is_found_in_the_file(tmp_path):
  from posejax.data.sources import coco_file

  dataset = layouts.coco_dataset(3)
  outside, empty, crowd, elsewhere = dataset['annotations'][:4]
  outside['keypoints'][:3] = [500, 20, 2]
  empty['bbox'] = [5, 5, 0, 10]
  crowd.update(iscrowd=1, keypoints=[900, 900, 2] * 17)
  elsewhere['category_id'] = 7
  elsewhere['keypoints'][:3] = [500, 20, 2]
  layouts.write(tmp_path / 'people.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  source = People(coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images')))
  found = suspicious.in_file(source)
  assert [(f.kind, f.name['annotation_id']) for f in found] == [
    ('empty box in the file', empty['id']),
    ('outside the picture', outside['id']),
  ]
  assert 'nose at (500, 20) on 64 x 48 pixels' in found[1].detail
  assert suspicious.in_file(People(SyntheticPeople('eval', 0, 1))) == []
