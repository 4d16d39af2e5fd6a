import numpy as np
import pytest

from posejax import labels, skeletons
from posejax.config import DataConfig
from posejax.data import sources
from posejax.data.sources import mixture
from posejax.errors import PosejaxError
from tests.data import layouts


class Drawn:
  """A source whose keypoint k of example i is at (i, k), with visibility 2 where k is even, else 1."""

  def __init__(self, skeleton, number):
    self.name, self.fingerprint = skeleton.name, f'{skeleton.name}-{number}'
    self.label_space, self._number = labels.people(skeleton), number

  def __len__(self):
    return self._number

  def labels(self, i):
    k = np.arange(self.label_space.skeleton.num_keypoints)
    return {
      'keypoints': np.stack([0 * k + i, k], axis=-1).astype(np.float32),
      'visibility': np.where(k % 2, 1, 2).astype(np.int32),
      'box': np.array([0, 0, i, 9], np.float32),
      'area': 3.0,
    }

  def __getitem__(self, i):
    return {'image': b'picture', **self.labels(i)}


class Labelled:
  """A source of labelled pictures that say their number."""

  def __init__(self, name, number, class_names=('no', 'yes')):
    self.name = self.fingerprint = name
    self.label_space, self._number = labels.LabelSpace(class_names), number

  def __len__(self):
    return self._number

  def labels(self, i):
    return {'label': i % 2, 'image_name': f'{self.name}{i}'}

  def __getitem__(self, i):
    return {'image': b'picture', **self.labels(i)}


def test_labelled_pictures_are_joined_and_repeated():
  parts = [Labelled('few', 2), Labelled('many', 3)]
  source = mixture.Mixture(parts, None, repeats=[3, 1])
  names = [source.labels(i)['image_name'] for i in range(len(source))]
  assert names == ['few0', 'few1'] * 3 + ['many0', 'many1', 'many2']
  assert source[8] == {'image': b'picture', 'label': 0, 'image_name': 'many2'}
  assert source.label_space == labels.LabelSpace(('no', 'yes'))
  assert source.fingerprint != mixture.Mixture(parts, None).fingerprint


def test_what_does_not_go_together_is_refused():
  digits, people = Labelled('digits', 2), Drawn(skeletons.COCO, 3)
  for parts, skeleton, repeats, message in [
    ([digits, people], None, None, "'coco' and 'digits' cannot be mixed"),
    ([people, digits], skeletons.COCO, None, "'digits' and 'coco' cannot be mixed"),
    ([digits, Labelled('letters', 2, ('a', 'b'))], None, None, r"'letters' has the classes \('a'"),
    ([digits], None, [0], "repeat=0 of 'digits' must be 1 or more"),
  ]:
    with pytest.raises(PosejaxError, match=message):
      mixture.Mixture(parts, skeleton, repeats=repeats)


def test_what_is_repeated_in_training_is_there_once():
  part = {'num_train_examples': 4, 'repeat': 3}
  config = DataConfig(name='mixture', train={'parts': {'synthetic_digits': part}})
  assert len(sources.create(config, 'train')) == 12
  assert len(sources.create(sources.once(config), 'train')) == 4
  config = DataConfig(name='mixture', parts={'synthetic_digits': part})
  assert len(sources.create(sources.once(config), 'train')) == 4


def test_a_part_may_be_for_training_only():
  drawn = {'num_train_examples': 4, 'num_eval_examples': 5}
  config = DataConfig(
    name='mixture',
    parts={
      'synthetic_digits': {**drawn, 'repeat': 2},
      'more': {'name': 'synthetic_digits', **drawn, 'evaluate': False},
    },
  )
  assert [len(sources.create(config, split)) for split in ('train', 'eval')] == [12, 5]
  only = DataConfig(name='mixture', parts={'synthetic_digits': {'evaluate': False}})
  with pytest.raises(PosejaxError, match='one of them to evaluate on'):
    sources.create(only, 'eval')


def test_a_file_that_is_for_training_only_is_learnt_from_whole(tmp_path):
  dataset = layouts.coco_dataset(40)
  layouts.write(tmp_path / 'more.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  more = {
    'name': 'coco_file',
    'annotations': str(tmp_path / 'more.json'),
    'images': str(tmp_path / 'images'),
  }
  people = {'synthetic_people': {'num_train_examples': 4, 'num_eval_examples': 5}}

  def sizes(part):
    config = DataConfig(name='mixture', skeleton='coco', parts={**people, 'more': part})
    return [len(sources.create(config, split)) for split in ('train', 'eval')]

  held_out = sizes(more)[1] - 5
  assert 0 < held_out < 40
  assert sizes(more)[0] == 4 + 40 - held_out
  assert sizes({**more, 'evaluate': False}) == [4 + 40, 5]


class Signs:
  """A source of one picture with three things of two classes, whose keypoints are a and b."""

  name = fingerprint = 'signs'
  label_space = labels.LabelSpace(
    ('stop', 'go'), skeletons.Skeleton('sign', ('a', 'b'), (), (), (0.1, 0.1))
  )

  def __len__(self):
    return 1

  def labels(self, i):
    return {
      'boxes': np.zeros((3, 4), np.float32),
      'labels': np.array([1, 0, 1], np.int32),
      'crowd': np.array([False, True, False]),
      'keypoints': np.arange(12, dtype=np.float32).reshape(3, 2, 2),
      'visibility': np.array([[2, 1], [0, 0], [0, 2]], np.int32),
    }


def test_everybody_on_a_picture_is_mapped():
  common = skeletons.Skeleton('other', ('b', 'c'), (), (), (0.1, 0.1))
  source = mixture.Mixture([Signs()], common)
  assert source.label_space == labels.LabelSpace(('stop', 'go'), common)
  mapped = source.labels(0)
  np.testing.assert_array_equal(mapped['visibility'], [[1, 0], [0, 0], [2, 0]])
  np.testing.assert_array_equal(mapped['keypoints'][:, 0], [[2, 3], [6, 7], [10, 11]])
  np.testing.assert_array_equal(mapped['labels'], [1, 0, 1])
  np.testing.assert_array_equal(mapped['crowd'], [False, True, False])
  # Of parts with other classes everything is of one class.
  both = mixture.Mixture([Signs(), Drawn(common, 1)], common)
  assert both.label_space == labels.people(common)
  np.testing.assert_array_equal(both.labels(0)['labels'], [0, 0, 0])
  assert (source.keypoint_classes, both.keypoint_classes) == (('stop', 'go'), ('person',))


def test_things_without_keypoints_are_nobody_where_classes_count_as_one(monkeypatch, caplog):
  common = skeletons.Skeleton('other', ('b', 'c'), (), (), (0.1, 0.1))
  monkeypatch.setattr(Signs, 'keypoint_classes', ('go',), raising=False)
  both = mixture.Mixture([Signs(), Drawn(common, 1)], common).labels(0)
  assert (both['labels'].tolist(), both['crowd'].tolist()) == ([0, 0], [False, False])
  np.testing.assert_array_equal(both['keypoints'][:, 0], [[2, 3], [10, 11]])
  assert 'go, person count as one, stop are left out' in caplog.text


@pytest.fixture
def joined():
  parts = [Drawn(skeletons.COCO, 3), Drawn(skeletons.LSP, 4), Drawn(skeletons.MPII, 2)]
  return mixture.Mixture(parts, skeletons.COCO, [{}, {}, {'nose': 'head_top'}])


def test_one_source_after_the_other(joined):
  assert len(joined) == 9
  places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1)]
  for i, (part, place) in enumerate(places):
    np.testing.assert_array_equal(joined[i]['box'], joined.sources[part][place]['box'])
  for outside in (-1, 9):
    with pytest.raises(IndexError):
      joined.labels(outside)


def test_keypoints_are_matched_by_name(joined):
  for i, part in ((1, skeletons.COCO), (4, skeletons.LSP), (8, skeletons.MPII)):
    example, labels = joined[i], joined.labels(i)
    assert example['image'] == b'picture'
    assert labels.keys() == example.keys() - {'image'}
    assert example['area'] == 3.0
    assert (example['keypoints'].dtype, example['visibility'].dtype) == (np.float32, np.int32)
    for k, name in enumerate(skeletons.COCO.keypoints):
      other = 'head_top' if (part.name, name) == ('mpii', 'nose') else name
      if other in part.keypoints:
        place = part.index(other)
        assert example['keypoints'][k][1] == place
        assert example['visibility'][k] == 2 - place % 2
      else:
        assert example['visibility'][k] == 0


def test_what_is_missing_is_told(caplog):
  mixture.Mixture([Drawn(skeletons.LSP, 1)], skeletons.COCO)
  assert 'lsp has no nose, left_eye, right_eye, left_ear, right_ear' in caplog.text


def test_the_fingerprint_knows_parts_and_mappings():
  parts = [Drawn(skeletons.COCO, 3), Drawn(skeletons.MPII, 4)]
  made = [
    mixture.Mixture(parts, skeletons.COCO),
    mixture.Mixture(parts[::-1], skeletons.COCO),
    mixture.Mixture(parts, skeletons.MPII),
    mixture.Mixture(parts, skeletons.COCO, [{}, {'nose': 'head_top'}]),
    mixture.Mixture([parts[0], Drawn(skeletons.MPII, 5)], skeletons.COCO),
  ]
  assert len({m.fingerprint for m in made}) == len(made)
  assert mixture.Mixture(parts, skeletons.COCO).fingerprint == made[0].fingerprint


@pytest.mark.parametrize(
  ('mapping', 'message'),
  [
    ({'noze': 'head_top'}, "skeleton 'coco' has no keypoint 'noze'. Did you mean 'nose'"),
    ({'nose': 'head_tip'}, "skeleton 'mpii' has no keypoint 'head_tip'. Did you mean 'head_top'"),
  ],
)
def test_a_mapping_of_unknown_keypoints_is_refused(mapping, message):
  with pytest.raises(PosejaxError, match=message):
    mixture.Mixture([Drawn(skeletons.MPII, 1)], skeletons.COCO, [mapping])


def test_a_source_without_common_keypoints_is_refused():
  sign = skeletons.Skeleton('sign', ('a', 'b'), (), (), (0.1, 0.1))
  with pytest.raises(PosejaxError, match=r"'sign' shares no keypoint with skeleton 'coco'"):
    mixture.Mixture([Drawn(sign, 1)], skeletons.COCO)
