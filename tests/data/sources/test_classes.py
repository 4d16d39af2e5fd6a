"""Some of a source's classes."""

import numpy as np
import pytest

from posejax.config import Config
from posejax.data import sources
from posejax.data.sources.classes import OnlyClasses
from posejax.data.synthetic.scenes import SyntheticScenes
from posejax.errors import PosejaxError


def test_only_things_of_the_classes_are_there_by_new_numbers():
  scenes = SyntheticScenes('eval')
  some = OnlyClasses(scenes, ('cone', 'person'))
  assert some.label_space.class_names == ('cone', 'person')
  assert some.label_space.skeleton == scenes.label_space.skeleton
  assert some.fingerprint != scenes.fingerprint
  assert some.max_boxes == scenes.max_boxes
  numbers = []
  for i in range(10):
    whole, part = scenes.labels(i), some.labels(i)
    for new, old in ((0, 3), (1, 0)):
      mine, theirs = part['labels'] == new, whole['labels'] == old
      np.testing.assert_array_equal(part['boxes'][mine], whole['boxes'][theirs])
      np.testing.assert_array_equal(part['visibility'][mine], whole['visibility'][theirs])
    assert len(part['boxes']) == np.isin(whole['labels'], [0, 3]).sum()
    numbers += part['labels'].tolist()
  assert set(numbers) == {0, 1}
  np.testing.assert_array_equal(some[2]['image'], scenes[2]['image'])


def test_a_config_chooses_classes():
  data = {'name': 'synthetic_scenes', 'classes': ('person',), 'num_eval_examples': 3}
  config = Config.from_dict({'data': data}).data
  source = sources.create(config, 'eval')
  assert source.label_space.class_names == ('person',)
  assert len(source) == 3
  assert all(not source.labels(i)['labels'].any() for i in range(3))
  people = sources.create_people(config, 'eval')
  assert len(people[0]['keypoints']) == 17


def test_a_class_that_is_not_there_is_named():
  with pytest.raises(PosejaxError, match=r"'persn'.*person, ball"):
    OnlyClasses(SyntheticScenes('eval'), ('persn',))
  data = {'name': 'mixture', 'classes': ('person',), 'parts': {'synthetic_scenes': {}}}
  with pytest.raises(PosejaxError, match='parts'):
    sources.create(Config.from_dict({'data': data}).data, 'eval')
