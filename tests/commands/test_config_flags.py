import pytest

from posejax.commands import config_flags
from posejax.errors import PosejaxError

SMOKE = '--config=configs/pose_resnet.py:smoke'


def test_reads_a_config_and_its_overrides():
  config = config_flags.read([SMOKE, '--config.batch_size=4', '--config.optimizer.name=sgd'])
  assert (config.batch_size, config.optimizer.name, config.num_steps) == (4, 'sgd', 2)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'A config is needed'),
    (['--config=configs/nowhere.py'], 'nowhere.py'),
    (['--config=configs/pose_resnet.py:smok'], "Did you mean 'smoke'"),
    ([SMOKE, '--config.batchsize=4'], 'Did you mean "batch_size"'),
    ([SMOKE, '--config.batch_size=many'], 'batch_size'),
    ([SMOKE, '--out=there'], 'out'),
    ([SMOKE, 'picture.png'], "Unexpected arguments ['picture.png']"),
  ],
)
def test_refuses_what_main_would_refuse(arguments, message):
  with pytest.raises(PosejaxError) as caught:
    config_flags.read(arguments)
  assert message in str(caught.value)
