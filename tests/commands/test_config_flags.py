import sys

import pytest

from posejax.commands import config_flags
from posejax.errors import PosejaxError

SMOKE = '--config=configs/pose_resnet.py:smoke'


def test_reads_a_config_and_its_overrides():
  config = config_flags.read([SMOKE, '--config.batch_size=4', '--config.optimizer.name=sgd'])
  assert (config.batch_size, config.optimizer.name, config.num_steps) == (4, 'sgd', 2)


def test_a_value_can_be_taken_away():
  flags = ['--config.optimizer.clip_norm=none', '--config.data.num_train_examples=None']
  found = config_flags.read_named(['--config=configs/detect_rtmdet.py', *flags])
  assert found.config.optimizer.clip_norm is None
  assert found.config.data.num_train_examples is None
  assert found.overrides == {'optimizer.clip_norm': None, 'data.num_train_examples': None}
  with pytest.raises(PosejaxError, match='seed'):
    config_flags.read(['--config=configs/detect_rtmdet.py', '--config.seed=none'])


def test_takes_keys_of_open_sections_that_the_config_does_not_list():
  config = config_flags.read(
    [
      SMOKE,
      '--config.model.bn_group_size=4',
      '--config.model.init_from=weights/resnet18.pth',
      '--config.optimizer.lr_scales.backbone=0.1',
    ]
  )
  assert config.model['bn_group_size'] == 4
  assert config.model['init_from'] == 'weights/resnet18.pth'
  assert config.optimizer.lr_scales == {'backbone': 0.1}
  config = config_flags.read([SMOKE, "--config.optimizer.lr_scales={'backbone/layer*': 0}"])
  assert config.optimizer.lr_scales == {'backbone/layer*': 0}


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'A config is needed'),
    (['--config=configs/nowhere.py'], 'nowhere.py'),
    (['--config=configs/pose_resnet.py:smok'], "Did you mean 'smoke'"),
    ([SMOKE, '--config.batchsize=4'], "Did you mean 'batch_size'"),
    ([SMOKE, '--config.optimizr.name=sgd'], 'optimizr'),
    ([SMOKE, '--config.batch_size=many'], 'batch_size'),
    ([SMOKE, '--out=there'], 'out'),
    ([SMOKE, 'picture.png'], "Unexpected arguments ['picture.png']"),
  ],
)
def test_refuses_what_main_would_refuse(arguments, message):
  with pytest.raises(PosejaxError) as caught:
    config_flags.read(arguments)
  assert message in str(caught.value)


def test_a_config_may_import_its_neighbours_wherever_the_command_starts(tmp_path, monkeypatch):
  # What `posejax` finds: its own script's folder on the path, not the one with configs/.
  configs = tmp_path / 'own_configs'
  configs.mkdir()
  (configs / 'shared.py').write_text('STEPS = 7\n')
  (configs / 'mine.py').write_text(
    'from configs import common\nfrom own_configs import shared\n'
    'def get_config(arg=None):\n  config = common.get_default()\n'
    '  config.num_steps = shared.STEPS\n  return config\n'
  )
  monkeypatch.setattr('sys.path', list(sys.path))
  for arguments in ([f'--config={configs}/mine.py'], ['--config', f'{configs}/mine.py:x']):
    assert config_flags.read(arguments).num_steps == 7
