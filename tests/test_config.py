import dataclasses
import json

import pytest

from configs import common
from posejax import config as config_lib
from posejax.config import Config
from posejax.errors import PosejaxError


def test_defaults_survive_the_way_through_flags_and_json():
  config = Config()
  assert Config.from_dict(common.get_default().to_dict()) == config
  assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_every_key_has_a_meaning_written_under_it():
  # The docstrings are the documentation of the keys; one per field, in order.
  import inspect

  for cls in (Config, config_lib.DataConfig, config_lib.OptimizerConfig, config_lib.EvaluateConfig):
    source = inspect.getsource(cls)
    undocumented = [
      f.name
      for f in dataclasses.fields(cls)
      if '"""' not in source.split(f'\n  {f.name}: ')[1].split('\n  """', 1)[-1].split('\n')[0]
      and f.name not in ('data', 'inputs', 'optimizer', 'evaluate', 'early_stopping')
    ]
    assert not undocumented


def test_a_set_to_evaluate_on_by_name_is_not_the_main_ones_file():
  real = {'name': 'lspet', 'manual_dir': 'there'}
  values = {'data': {'annotations': 'a.json', 'images': 'a', 'skeleton': 'a.skeleton.json'}}
  found = Config.from_dict(values | {'evaluations': {'real': real, 'again': {}}}).evaluation_data()
  own = found['real'].of('eval')
  assert (own.name, own.annotations, own.images, own.skeleton) == ('lspet', '', '', '')
  assert found['again'].of('eval').annotations == 'a.json'
  by_name = values | {'evaluations': {'again': {'name': 'coco_file', 'on_error': 'skip'}}}
  found = Config.from_dict(by_name).evaluation_data()
  assert found['again'].of('eval').annotations == 'a.json'


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    ({'batch_sizee': 3}, r"config\.batch_sizee is not a known key\. Did you mean 'batch_size'\?"),
    ({'optimizer': {'learnin_rate': 1.0}}, r"config\.optimizer\.learnin_rate .* 'learning_rate'"),
    ({'batch_size': 'many'}, r"config\.batch_size='many' must be of type int, got str"),
    ({'batch_size': 2.5}, r'config\.batch_size=2\.5 must be of type int'),
    ({'batch_size': True}, r'config\.batch_size=True must be of type int, got bool'),
    ({'batch_size': 0}, r'config\.batch_size=0 must be at least 1'),
    ({'data': {'num_workers': 0}}, r'config\.data\.num_workers=0 must be at least 1'),
    ({'data': {'prefetch': -1}}, r'config\.data\.prefetch=-1 must be at least 0'),
    ({'dtype': 'float31'}, r"config\.dtype='float31' .* Did you mean 'float32'"),
    ({'inputs': {'mean': (1.0, 2.0)}}, r'config\.inputs\.mean=\(1\.0, 2\.0\) must have 3 entries'),
    ({'data': {'eval': {'nam': 'coco'}}}, r"config\.data\.eval\.nam is not .* Did you mean 'name'"),
    ({'data': {'eval': {'name': 3}}}, r'config\.data\.eval\.name=3 must be of type str'),
    ({'evaluations': {'b': {'nam': 'x'}}}, r"config\.evaluations\.b\.nam is not .* 'name'"),
    ({'evaluations': {'eval': {}}}, r'config\.evaluations\.eval=.* other than \"eval\"'),
    ({'data': 3}, r'config\.data must be a section'),
    ({'data': {'cache': 1}}, r'config\.data\.cache=1 must be of type bool'),
    ({'optimizer': {'clip_norm': 'x'}}, r'config\.optimizer\.clip_norm=.* must be of type float'),
  ],
)
def test_what_is_wrong_is_named(values, message):
  with pytest.raises(PosejaxError, match=message):
    Config.from_dict(values)


def test_whole_numbers_are_taken_for_floats_and_lists_for_tuples():
  config = Config.from_dict({'optimizer': {'learning_rate': 1, 'step_boundaries': [0.5]}})
  assert config.optimizer.learning_rate == 1.0
  assert isinstance(config.optimizer.learning_rate, float)
  assert config.optimizer.step_boundaries == (0.5,)


def test_config_arguments():
  parsed = common.parse_arg('smoke,depth=50', depth=18, v2=False)
  assert (parsed.smoke, parsed.depth, parsed.v2) == (True, 50, False)
  with pytest.raises(PosejaxError, match="Did you mean 'smoke'"):
    common.parse_arg('smok')
  with pytest.raises(PosejaxError, match='must be of type int'):
    common.parse_arg('depth=deep', depth=18)
