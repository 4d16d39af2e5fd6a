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


def test_without_a_second_file_some_are_held_out(people):
  del people['eval']
  train, held_out = create(**people), create('eval', **people)
  assert sorted(train.image_ids + held_out.image_ids) == list(range(1, 6))


def test_the_second_file_may_share_the_folder(people, tmp_path):
  layouts.write_pictures(tmp_path / 'train_images', layouts.coco_dataset(5, 50))
  del people['eval']['images']
  assert len(create('eval', **people)) == 10


def test_estimates_of_the_training_file_hold_for_both(tmp_path):
  keys = {}
  for split, first in (('train', 1), ('eval', 50)):
    dataset = layouts.coco_dataset(5, first, CORNERS)
    for annotation in dataset['annotations']:
      annotation['area'] *= 20 * first  # so that their own estimates would differ
    layouts.write(tmp_path / f'{split}.json', dataset)
    layouts.write_pictures(tmp_path / 'images', dataset)
    keys[split] = {'annotations': str(tmp_path / f'{split}.json')}
  layouts.write(tmp_path / 'sign.json', {'sigmas': 'estimate'})
  keys |= {'images': str(tmp_path / 'images'), 'skeleton': str(tmp_path / 'sign.json')}
  train, held_out = create(**keys), create('eval', **keys)
  assert train.skeleton == held_out.skeleton
  assert train.skeleton.name == 'sign'


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
  source = create(name='mixture', skeleton='lsp', parts=parts)
  assert len(source) == 13
  assert source.skeleton is skeletons.LSP
  drawn = source[12]
  assert drawn['image'].dtype == np.uint8
  np.testing.assert_array_equal(
    drawn['keypoints'][skeletons.LSP.index('neck')], source.sources[1][2]['keypoints'][0]
  )
  # Without a skeleton the first part's is the common one.
  parts['synthetic_people'].pop('keypoints')
  assert create(name='mixture', parts=parts).skeleton is skeletons.COCO


def test_a_mixture_with_a_skeleton_file_is_refused(people, tmp_path):
  layouts.write(tmp_path / 'own.json', {})
  with pytest.raises(PosejaxError, match='needs a known skeleton'):
    create(name='mixture', skeleton=str(tmp_path / 'own.json'), parts={'coco_file': people})


def test_limits(people):
  source = create(num_train_examples=4, **people)
  assert len(source) == 4
  assert source.fingerprint.endswith('[:4]')


def test_public_data_sets_are_prepared_where_their_folder_is_given(tmp_path):
  root, _ = layouts.leeds(tmp_path / 'lspet', extended=True)
  keys = {'name': 'lspet', 'manual_dir': root, 'data_dir': str(tmp_path / 'prepared')}
  assert (len(create(**keys)), len(create('eval', **keys))) == (18, 2)
