"""What work directories of version 0.1 hold otherwise, read as it is called now."""

from typing import Any

from posejax import labels
from posejax.labels import LabelSpace
from posejax.skeletons import Skeleton

_MOVED = {
  ('data', 'crop_size'): ('task', 'crop_size'),
  ('data', 'box_padding'): ('task', 'box_padding'),
  ('evaluate', 'flip'): ('task', 'flip'),
  ('evaluate', 'shift'): ('task', 'shift'),
}
_OF_A_SPLIT = {'eval_annotations': 'annotations', 'eval_images': 'images'}
_DIGITS = tuple('0123456789')


def config_values(values: dict[str, Any]) -> dict[str, Any]:
  """Return a config's nested dictionaries with every key where it is now."""
  if not isinstance(values.get('task'), str):
    return values
  values = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
  values['task'] = {'name': values['task']}
  pose = values['task']['name'] == 'pose'
  for (section, key), (to, new) in _MOVED.items():
    if key in values.get(section, {}):
      value = values[section].pop(key)
      if pose or key == 'crop_size':
        values[to][new] = value
  data = values.get('data', {})
  own = {new: data.pop(old) for old, new in _OF_A_SPLIT.items() if old in data}
  if own := {key: value for key, value in own.items() if value}:
    data['eval'] = own
  return values


def label_space(meta: dict[str, Any]) -> LabelSpace:
  """Return what a checkpoint's net can name."""
  if 'labels' in meta:
    return LabelSpace.from_json(meta['labels'])
  skeleton = meta['skeleton']
  return LabelSpace(_DIGITS) if skeleton is None else labels.people(Skeleton(**skeleton))
