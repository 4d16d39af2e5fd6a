import numpy as np
import pytest

from posejax import skeletons
from posejax.config import Config
from posejax.data import sources
from posejax.errors import PosejaxError
from tests.data import layouts

CORNERS = ['top_left', 'top_right', 'bottom_right', 'bottom_left']


def create(split='train', **data):
  return sources.create(Config.from_dict({'data': data}).data, split)


def create_people(split='train', **data):
  return sources.create_people(Config.from_dict({'data': data}).data, split)


@pytest.fixture
def people(tmp_path):
  """Two COCO-format files, as keys of the config."""
  keys = {'train': {}, 'eval': {}}
  for split, first in (('train', 1), ('eval', 50)):
    dataset = layouts.coco_dataset(5, first)
    layouts.write(tmp_path / f'{split}.json', dataset)
    layouts.write_pictures(tmp_path / f'{split}_images', dataset)
    keys[split]['annotations'] = str(tmp_path / f'{split}.json')
    keys[split]['images'] = str(tmp_path / f'{split}_images')
  return {**keys['train'], 'eval': keys['eval']}


def test_annotations_take_the_place_of_the_name(people):
  train, held_out = create(**people), create('eval', **people)
  assert train.name == held_out.name == 'coco_file'
  assert train.image_ids == tuple(range(1, 6))
  assert held_out.image_ids == tuple(range(50, 55))
  assert create(name='coco_file', **people).fingerprint == train.fingerprint


def test_annotations_take_the_place_of_drawn_scenes_too(people):
  assert create(name='synthetic_scenes', **people).image_ids == tuple(range(1, 6))


@pytest.fixture
def instances(tmp_path):
  """COCO as its authors ship it, its files of boxes."""
  for split, first in (('train2017', 1), ('val2017', 50)):
    dataset = layouts.instances_dataset(first)
    layouts.write(tmp_path / 'annotations' / f'instances_{split}.json', dataset)
    layouts.write_pictures(tmp_path / split, dataset)
  return {'name': 'coco_instances', 'manual_dir': str(tmp_path)}


def test_coco_with_all_its_classes(instances):
  train, held_out = create(**instances), create('eval', **instances)
  assert (train.image_ids[0], held_out.image_ids[0]) == (1, 50)
  assert len(train) == len(held_out) == 5
  assert train.label_space.class_names == ('cat', 'toothbrush', 'dog')
  dogs = create(classes=('dog',), **instances)
  assert (dogs.category_ids, dogs.labels(1)['labels'].tolist()) == ((3,), [0])
  with pytest.raises(PosejaxError, match="classes names 'dgo'.*Did you mean 'dog'"):
    create(classes=('dgo',), **instances)
  with pytest.raises(PosejaxError, match=r'instances_train2017\.json has no keypoints'):
    create_people(**instances)


def test_coco_instances_that_are_not_there():
  with pytest.raises(PosejaxError, match='needs config.data.manual_dir.*nowhere/annotations'):
    create(name='coco_instances', manual_dir='nowhere')


def test_sets_of_boxes_mix_if_their_classes_are_the_same(instances):
  parts = {'one': instances, 'two': {**instances, 'repeat': 2}}
  source = create(name='mixture', parts=parts)
  assert len(source) == 15
  assert source.label_space.class_names == ('cat', 'toothbrush', 'dog')
  with pytest.raises(PosejaxError, match='one has keypoints, the other none'):
    create(name='mixture', parts={**parts, 'synthetic_scenes': {'num_train_examples': 2}})


def test_without_a_second_file_some_are_held_out(people):
  del people['eval']
  train, held_out = create(**people), create('eval', **people)
  assert sorted(train.image_ids + held_out.image_ids) == list(range(1, 6))


def test_the_second_file_may_share_the_folder(people, tmp_path):
  layouts.write_pictures(tmp_path / 'train_images', layouts.coco_dataset(5, 50))
  del people['eval']['images']
  assert len(create('eval', **people)) == 5
  assert len(create_people('eval', **people)) == 10


def test_estimates_of_the_training_file_hold_for_both(tmp_path):
  keys = {'train': {}, 'eval': {}}
  for split, first in (('train', 1), ('eval', 50)):
    dataset = layouts.coco_dataset(5, first, CORNERS)
    for annotation in dataset['annotations']:
      annotation['area'] *= 20 * first  # so that their own estimates would differ
    layouts.write(tmp_path / f'{split}.json', dataset)
    layouts.write_pictures(tmp_path / 'images', dataset)
    keys[split]['annotations'] = str(tmp_path / f'{split}.json')
  layouts.write(tmp_path / 'sign.json', {'sigmas': 'estimate'})
  shared = {'images': str(tmp_path / 'images'), 'skeleton': str(tmp_path / 'sign.json')}
  keys = {**shared, **keys['train'], 'eval': keys['eval']}
  train, held_out = create(**keys), create('eval', **keys)
  assert train.label_space == held_out.label_space
  assert train.label_space.skeleton.name == 'sign'


@pytest.mark.parametrize(
  ('data', 'message'),
  [
    ({'name': 'lspe'}, "config.data.name='lspe' is not a data set. Did you mean 'lspet'"),
    ({'name': 'coco_file'}, 'needs config.data.annotations'),
    ({'name': 'coco', 'annotations': 'a.json'}, "annotations and config.data.name='coco' name two"),
    ({'annotations': 'a.json'}, 'No annotations at a.json'),
    ({'name': 'mixture'}, 'config.data.parts'),
    ({'name': 'mixture', 'parts': {'synthetic_people': {'imags': ''}}}, "Did you mean 'images'"),
    ({'name': 'mixture', 'parts': {'coca': {}}}, "'coca' is not a data set. Did you mean 'coco'"),
  ],
)
def test_what_does_not_fit_is_refused(data, message):
  with pytest.raises(PosejaxError, match=message):
    create(**data)


def test_a_mixture_of_files_and_drawn_people(people):
  parts = {
    'mine': {'name': 'coco_file', **people},
    'synthetic_people': {'num_train_examples': 3, 'keypoints': {'neck': 'nose'}},
  }
  assert len(create(name='mixture', skeleton='lsp', parts=parts)) == 8
  source = create_people(name='mixture', skeleton='lsp', parts=parts)
  assert len(source) == 13
  assert source.label_space.skeleton is skeletons.LSP
  drawn = source[12]
  assert drawn['image'].dtype == np.uint8
  np.testing.assert_array_equal(
    drawn['keypoints'][skeletons.LSP.index('neck')], source.sources[1][2]['keypoints'][0]
  )
  # Without a skeleton the first part's is the common one.
  parts['synthetic_people'].pop('keypoints')
  assert create(name='mixture', parts=parts).label_space.skeleton is skeletons.COCO


def test_a_mixture_with_a_skeleton_file_is_refused(people, tmp_path):
  layouts.write(tmp_path / 'own.json', {})
  with pytest.raises(PosejaxError, match='needs a known skeleton'):
    create(name='mixture', skeleton=str(tmp_path / 'own.json'), parts={'coco_file': people})


def test_limits(people):
  pictures, those = (make(num_train_examples=3, **people) for make in (create, create_people))
  assert len(pictures) == len(those) == 3
  assert pictures.fingerprint == those.fingerprint
  assert those.fingerprint.endswith('[:3]')
  assert [pictures[i]['image_id'] for i in range(3)] == [1, 2, 3]
  assert [those[i]['image_id'] for i in range(3)] == [1, 1, 2]
  # AP counts the pictures with nobody left out.
  assert pictures.image_ids == (1, 2, 3)
  assert those.image_ids == (1,)
  for source in (pictures, those):
    with pytest.raises(IndexError):
      source[3]


@pytest.mark.parametrize('make', [sources.create, sources.create_people])
def test_decoded_pictures_are_kept_where_asked_for(people, make):
  config = Config.from_dict({'data': people}).data
  assert isinstance(make(config, 'train')[0]['image'], bytes)
  source = make(config, 'train', cached=True)
  assert source[0]['image'] is source[0]['image']
  assert source[0]['image'].shape == (*layouts.HW, 3)


def test_labelled_pictures_have_no_people():
  with pytest.raises(PosejaxError, match="'synthetic_digits' has no keypoints.*'classification'"):
    create_people(name='synthetic_digits')


def test_public_data_sets_are_prepared_where_their_folder_is_given(tmp_path):
  root, _ = layouts.leeds(tmp_path / 'lspet', extended=True)
  keys = {'name': 'lspet', 'manual_dir': root, 'data_dir': str(tmp_path / 'prepared')}
  assert (len(create(**keys)), len(create('eval', **keys))) == (18, 2)
