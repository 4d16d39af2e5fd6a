import numpy as np
import pytest

from posejax.data.synthetic.film import DrawnFilm, Noise, imagine
from posejax.errors import PosejaxError
from posejax.skeletons import COCO

SHAPE = (120, 200)


@pytest.fixture(scope='module')
def film():
  return DrawnFilm(seed=3, num_frames=240, shape=SHAPE, people=4)


@pytest.fixture(scope='module')
def labels(film):
  return [film.labels(t) for t in range(len(film))]


def test_frames_are_a_pure_function_of_seed_and_number(film):
  other = DrawnFilm(seed=3, num_frames=240, shape=SHAPE, people=4)
  a, b = film[100], other[100]
  assert a['image'].shape == (*SHAPE, 3)
  for name in a:
    np.testing.assert_array_equal(a[name], b[name])
  np.testing.assert_array_equal(a['keypoints'], film.labels(100)['keypoints'])
  assert (
    DrawnFilm(seed=4, num_frames=240, shape=SHAPE, people=4)[100]['image'] != a['image']
  ).any()


def test_a_frame_depends_on_its_time_and_not_on_the_rate(film):
  slow = DrawnFilm(3, 24, SHAPE, 4, times=np.arange(24) / 3)
  np.testing.assert_allclose(slow.labels(7)['keypoints'], film.labels(70)['keypoints'], atol=1e-3)
  assert slow.labels(7)['time'] == pytest.approx(7 / 3)


def test_people_move_smoothly(labels):
  fastest, second = 0.0, 0.0
  for before, now, after in zip(labels, labels[1:], labels[2:], strict=False):
    for i in set(before['ids']) & set(now['ids']) & set(after['ids']):
      a, b, c = (f['keypoints'][list(f['ids']).index(i)] for f in (before, now, after))
      fastest = max(fastest, np.abs(c - b).max())
      second = max(second, np.abs(c - 2 * b + a).max())
  height = 0.35 * 1.75 * SHAPE[0]
  assert 0.02 * height < fastest < 0.15 * height
  assert second < 0.05 * height


def test_people_pass_leave_and_come_back(labels):
  there = np.zeros((len(labels), 5), bool)
  for t, frame in enumerate(labels):
    there[t, frame['ids']] = True
  assert there[:, 1:].any(axis=0).all()
  gone_and_back = 0
  for person in there.T[1:]:
    first, last = np.flatnonzero(person)[[0, -1]]
    gone_and_back += not person[first:last].all()
  assert gone_and_back >= 1
  orders = set()
  for frame in labels:
    x = dict(zip(frame['ids'].tolist(), frame['keypoints'][..., 0].mean(axis=1), strict=True))
    orders |= {(i, j) for i in x for j in x if x[i] < x[j]}
  assert any((j, i) in orders for i, j in orders)
  assert any((frame['visibility'] == 1).mean() > 0.3 for frame in labels)


def test_people_are_painted_where_the_labels_say(film):
  # Where somebody walks the picture changes, elsewhere it stays.
  a, b = film[60], film[66]
  changed = (a['image'] != b['image']).any(axis=-1)
  near = np.zeros(SHAPE, bool)
  for box in np.concatenate([a['boxes'], b['boxes']]):
    x1, y1, x2, y2 = box.astype(int)
    near[max(y1 - 4, 0) : y2 + 12, max(x1 - 25, 0) : x2 + 26] = True
  assert changed[near].mean() > 0.2
  assert changed[~near].mean() < 0.01


def test_left_and_right_are_the_person_s_own(labels):
  # Who walks to the right shows the viewer the right side: the left shoulder is the farther one, and
  # the nose is ahead of both ears.
  names = [COCO.index(n) for n in ('nose', 'left_ear', 'right_ear')]
  agree = []
  for before, now in zip(labels, labels[3:], strict=False):
    for i in set(before['ids']) & set(now['ids']):
      a, b = (f['keypoints'][list(f['ids']).index(i)] for f in (before, now))
      velocity = (b - a)[:, 0].mean()
      if abs(velocity) > 1.5:
        nose, left, right = b[names, 0]
        agree.append(np.sign(nose - (left + right) / 2) == np.sign(velocity))
  assert len(agree) > 100
  assert np.mean(agree) > 0.95


def test_imagined_mistakes_are_as_many_as_asked_for(film, labels):
  rng = np.random.default_rng(0)
  noise = Noise(jitter=0.03, missed=0.2, false=0.5, unsure=0.1)
  found = [imagine(frame, rng, SHAPE, noise) for frame in labels]
  true = sum(len(frame['ids']) for frame in labels)
  hits = sum((f['ids'] > 0).sum() for f in found)
  assert hits / true == pytest.approx(0.8, abs=0.06)
  assert sum((f['ids'] == 0).sum() for f in found) / len(found) == pytest.approx(0.5, abs=0.15)
  errors = []
  for frame, f in zip(labels, found, strict=True):
    for i, points in zip(f['ids'], f['keypoints'], strict=True):
      if i:
        who = list(frame['ids']).index(i)
        size = (frame['boxes'][who, 2:] - frame['boxes'][who, :2]).mean()
        errors.append((points - frame['keypoints'][who]).std() / size)
  assert np.mean(errors) == pytest.approx(0.03, rel=0.1)
  assert any((np.diff(f['ids']) < 0).any() for f in found)
  scores = np.concatenate([f['scores'][f['ids'] > 0] for f in found])
  assert (scores < 0.5).mean() == pytest.approx(0.1, abs=0.04)


@pytest.mark.parametrize(
  'wrong',
  [{'shape': (20, 300)}, {'num_frames': 0}, {'people': 0}, {'num_frames': 3, 'times': np.zeros(2)}],
)
def test_impossible_films_are_refused(wrong):
  with pytest.raises(PosejaxError):
    DrawnFilm(**wrong)
