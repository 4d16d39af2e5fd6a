"""What work directories of version 0.1 hold, read as it is called now."""

from posejax import skeletons
from posejax.config import Config
from posejax.runs import older

POSE = {
  'task': 'pose',
  'data': {
    'name': 'coco_file',
    'annotations': 'a.json',
    'eval_annotations': 'b.json',
    'eval_images': '',
    'crop_size': [96, 64],
    'box_padding': 1.5,
    'num_train_examples': 7,
  },
  'evaluate': {'batch_size': 4, 'flip': False, 'shift': None, 'detections': ''},
}


def test_a_pose_config_has_every_key_where_it_is_now():
  config = Config.from_dict(older.config_values(POSE))
  assert config.task == {
    'name': 'pose', 'crop_size': (96, 64), 'box_padding': 1.5, 'flip': False, 'shift': None,
  }  # fmt: skip
  assert (config.data.annotations, config.data.eval) == ('a.json', {'annotations': 'b.json'})
  assert (config.evaluate.batch_size, config.data.num_train_examples) == (4, 7)
  assert POSE['data']['eval_annotations'] == 'b.json', 'what is read is left as it was'


def test_a_digit_config_drops_what_a_classifier_never_had():
  values = {**POSE, 'task': 'classification', 'data': {'name': 'svhn', 'crop_size': [32, 32]}}
  assert Config.from_dict(older.config_values(values)).task == {
    'name': 'classification',
    'crop_size': (32, 32),
  }


def test_what_is_of_this_layout_stays():
  values = Config().to_dict()
  assert older.config_values(values) is values


def test_a_skeleton_is_a_label_space_of_people_and_none_are_digits():
  import dataclasses

  old = {'skeleton': dataclasses.asdict(skeletons.LSP)}
  assert older.label_space(old).skeleton == skeletons.LSP
  assert older.label_space(old).class_names == ('person',)
  assert older.label_space({'skeleton': None}).class_names == tuple('0123456789')
