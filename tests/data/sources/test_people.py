import numpy as np
import pytest

from posejax import labels, skeletons
from posejax.data.sources import First
from posejax.data.sources.people import People, find
from posejax.data.synthetic.people import SyntheticPeople
from posejax.data.synthetic.scenes import SyntheticScenes
from posejax.errors import PosejaxError

SIGN = skeletons.Skeleton('sign', ('a', 'b', 'c'), (), (), (0.1,) * 3)
CROWD = 'crowd regions'
UNLABELLED = 'annotations without labelled keypoints'
EMPTY = 'annotations with an empty box'


class Listed:
  """A source of given pictures; each is a list of (visibility, box, area, crowd)."""

  name, fingerprint = 'listed', 'listed-1'

  def __init__(self, *pictures, skeleton=SIGN):
    self.label_space = labels.LabelSpace(('sign', 'arrow'), skeleton)
    self._pictures, self.left_out = pictures, {'broken pictures': 4}

  def __len__(self):
    return len(self._pictures)

  def labels(self, i):
    rows = self._pictures[i]
    N = len(rows)
    return {
      'image_id': f'p{i}',
      'boxes': np.array([box for _, box, _, _ in rows], np.float32).reshape(N, 4),
      'labels': np.ones(N, np.int32),
      'crowd': np.array([crowd for *_, crowd in rows], bool),
      'keypoints': np.arange(6 * N, dtype=np.float32).reshape(N, 3, 2) + 100 * i,
      'visibility': np.array([seen for seen, *_ in rows], np.int32).reshape(N, 3),
      'areas': np.array([area for _, _, area, _ in rows], np.float64),
      'annotation_ids': np.arange(N) + 10 * i,
    }

  def __getitem__(self, i):
    return {'image': f'pixels {i}'.encode(), **self.labels(i)}


def row(seen=(2, 0, 1), box=(5, 6, 9, 20), area=7.5, crowd=False):
  return seen, box, area, crowd


ODD = (
  [row(crowd=True), row()],
  [],
  [row(seen=(0, 0, 0)), row(box=(5, 6, 5, 6)), row(box=(5, 6, 4, 20)), row(area=0)],
  [row(box=(5, 6, 5, 20)), row(seen=(0, 1, 0)), row(seen=(0, 0, 0), crowd=True)],
)


def test_examples_are_the_people_that_can_be_learnt_from_in_order():
  source = Listed(*ODD)
  people = People(source)
  assert [people.labels(i)['annotation_id'] for i in range(len(people))] == [1, 30, 31]
  assert [people.labels(i)['image_id'] for i in range(len(people))] == ['p0', 'p3', 'p3']
  assert people.left_out == {'broken pictures': 4, CROWD: 2, UNLABELLED: 1, EMPTY: 3}
  assert (people.name, people.fingerprint) == ('listed', 'listed-1')
  assert people.label_space is source.label_space
  with pytest.raises(IndexError, match='has 3 examples, asked for 3'):
    people[3]
  with pytest.raises(IndexError):
    people.labels(-1)


def test_an_example_is_one_row_of_its_picture():
  people = People(Listed(*ODD))
  example, again = people[2], people.labels(2)
  assert example.pop('image') == b'pixels 3'
  assert example.keys() == again.keys() == {
    'image_id', 'keypoints', 'visibility', 'box', 'area', 'annotation_id',
  }  # fmt: skip
  np.testing.assert_array_equal(example['keypoints'], [[306, 307], [308, 309], [310, 311]])
  np.testing.assert_array_equal(example['visibility'], [0, 1, 0])
  np.testing.assert_array_equal(example['box'], [5, 6, 9, 20])
  assert (type(example['area']), type(example['annotation_id'])) == (float, int)


def test_what_was_left_out_is_logged(caplog):
  People(Listed(*ODD))
  assert f'listed: left out of its people: 3 {EMPTY}, 1 {UNLABELLED}, 2 {CROWD}.' in caplog.text
  caplog.clear()
  People(Listed([row()]))
  assert not caplog.text


@pytest.mark.parametrize('pictures', [[], [[]], [[row(crowd=True)], [row(seen=(0, 0, 0))]]])
def test_nobody_is_refused(pictures):
  with pytest.raises(
    PosejaxError, match="listed: nobody with labelled keypoints is left .*'broken"
  ):
    People(Listed(*pictures))


def test_pictures_without_keypoints_are_refused():
  with pytest.raises(PosejaxError, match="'listed' has no keypoints"):
    People(Listed([row()], skeleton=None))


@pytest.mark.parametrize('make', [SyntheticPeople, SyntheticScenes])
def test_drawn_people(make):
  source = make('train', seed=3, num_examples=9)
  places, counts = find(source)
  pictures = [source.labels(i) for i in range(9)]
  expected = [
    (i, n)
    for i, picture in enumerate(pictures)
    for n in range(len(picture['boxes']))
    if picture['visibility'][n].any() and not picture['crowd'][n]
  ]
  assert len(expected) >= 9
  assert places.tolist() == [list(place) for place in expected]
  # What else is drawn are things, and who is hidden.
  assert sum(counts.values()) == sum(len(p['boxes']) for p in pictures) - len(expected)
  people = People(source)
  for i, (picture, place) in enumerate(expected):
    example, whole = people[i], source[picture]
    np.testing.assert_array_equal(example['image'], whole['image'])
    np.testing.assert_array_equal(example['box'], whole['boxes'][place])
    np.testing.assert_array_equal(example['keypoints'], whole['keypoints'][place])


def test_a_source_that_knows_says_what_looking_would_find():
  source = SyntheticPeople('eval', num_examples=40)
  looked = [(i, 0) for i in range(40) if (source.labels(i)['visibility'] > 0).any()]
  assert find(source)[0].tolist() == [list(place) for place in looked]


def test_a_limit_counts_what_it_is_put_on():
  source = Listed(*ODD)
  assert len(First(People(source), 2)) == 2
  assert len(People(First(source, 3))) == 1
  assert First(source, 3).image_ids == ('p0', 'p1', 'p2')
