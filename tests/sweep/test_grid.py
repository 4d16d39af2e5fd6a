import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from posejax.commands import config_flags
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.sweep import grid
from tests import tiny


def names(*arguments):
  return [run.name for run in grid.runs(tiny.config(), arguments)]


def test_all_combinations_the_first_setting_slowest():
  runs = grid.runs(tiny.config(), ['optimizer.learning_rate=1e-2,0.003', 'seed=0,1'])
  assert [run.name for run in runs] == [
    'learning_rate=0.01,seed=0',
    'learning_rate=0.01,seed=1',
    'learning_rate=0.003,seed=0',
    'learning_rate=0.003,seed=1',
  ]
  assert runs[2].settings == {'optimizer.learning_rate': 0.003, 'seed': 0}
  assert (runs[3].config.optimizer.learning_rate, runs[3].config.seed) == (0.003, 1)
  # What is not set stays as it was.
  assert runs[0].config == tiny.config(optimizer__learning_rate=0.01, seed=0)


def test_what_follows_from_a_key_does_so_in_a_sweep():
  arguments = ['--config=configs/detect_rtmdet.py']
  read = lambda settings: config_flags.read(arguments, settings)  # noqa: E731
  base = config_flags.read(arguments)
  assert (base.data.cache, base.data.num_train_examples) == (True, 2048)
  for words in (['data.annotations=a.json'], ['data.cache=true', 'data.annotations=a.json']):
    (run,) = grid.runs(base, words, read)
    flags = [f'--config.{word}' for word in words]
    assert run.config == config_flags.read([*arguments, *flags])
    assert run.config.data.num_train_examples is None
    assert run.config.data.cache == (len(words) == 2)


def test_keys_that_are_no_names_of_folders():
  (run,) = grid.runs(tiny.config(), ['optimizer.lr_scales.backbone/*=0.1'])
  assert re.fullmatch(r'backbone-~[0-9a-f]{6}=0\.1', run.name)
  assert run.config.optimizer.lr_scales == {'backbone/*': 0.1}


@pytest.mark.parametrize(
  ('argument', 'key', 'values'),
  [
    ('seed=0,1', 'seed', [0, 1]),
    ('config.seed=3', 'seed', [3]),
    ('optimizer.learning_rate=1e-3, 2', 'optimizer.learning_rate', [1e-3, 2]),
    ('codec.name=msra,udp', 'codec.name', ['msra', 'udp']),
    ('model.block_layers=(1,2),(2,2)', 'model.block_layers', [(1, 2), (2, 2)]),
    ('model.block_layers=(1,),[2, 2]', 'model.block_layers', [(1,), [2, 2]]),
    ("data.data_dir='a,b',2020", 'data.data_dir', ['a,b', 2020]),
    ("data.data_dir='2020'", 'data.data_dir', ['2020']),
    ('task.flip=true,False', 'task.flip', [True, False]),
    ('optimizer.clip_norm=none,1.0', 'optimizer.clip_norm', [None, 1.0]),
    ('best_metric=PCK@0.20/torso', 'best_metric', ['PCK@0.20/torso']),
    ('data.manual_dir=a=b', 'data.manual_dir', ['a=b']),
  ],
)
def test_reads_keys_and_values(argument, key, values):
  assert grid.parse(argument) == (key, values)


LITERALS = st.one_of(
  st.integers(-1000, 1000),
  st.floats(allow_nan=False, allow_infinity=False),
  st.booleans(),
  st.none(),
  st.text(st.characters(codec='ascii'), max_size=8),
  st.lists(st.integers(0, 9), max_size=3).map(tuple),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LITERALS, min_size=1, max_size=4))
def test_what_python_writes_is_read_back(values):
  assert grid.parse('key=' + ','.join(map(repr, values))) == ('key', values)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['seed'], "--set 'seed' must be key=value"),
    (['seed='], 'must be key=value'),
    (['seed=1,,2'], 'must be key=value'),
    (['=1'], 'must be key=value'),
    (['model.block_layers=(1,2'], 'brackets or quotes do not match'),
    (["data.data_dir='a"], 'brackets or quotes do not match'),
    (['model.block_layers=(1,2);(2,2)'], 'values are separated by commas'),
    (['sed=0'], "no such key. Did you mean 'seed'?"),
    (['learning_rate=0.1'], "Did you mean 'optimizer.learning_rate'?"),
    (['optimiser.learning_rate=0.1'], "Did you mean 'optimizer.learning_rate'?"),
    (['optimizer.learning_rat=0.1'], "Did you mean 'optimizer.learning_rate'?"),
    (['seed.x=0'], 'no such key'),
    (['optimizer=adam'], 'this is a section'),
    (['optimizer.learning_rate=fast'], "'fast' must be of type float"),
    (['seed=0.5'], 'must be of type int'),
    (['inputs.mean=(0.5,)'], 'must have 3 entries'),
    (['inputs.mean=64'], 'config.inputs.mean=64 must be of type tuple'),
    (['data.executor=threds'], "Did you mean 'threads'?"),
    (['seed=0,1,0'], 'seed=0 twice'),
    (['optimizer.learning_rate=1e-2,0.01'], 'learning_rate=0.01 twice'),
    (['seed=0', 'seed=1'], '--set seed is given twice'),
  ],
)
def test_refuses_what_cannot_be_run(arguments, message):
  with pytest.raises(PosejaxError) as caught:
    grid.runs(tiny.config(), arguments)
  assert message in str(caught.value)


def test_sections_of_options_take_keys_that_the_config_leaves_out():
  (run,) = grid.runs(tiny.config(), ['model.compression=0.25'])
  assert run.config.model['compression'] == 0.25


def test_names_are_folders_that_a_shell_leaves_alone_and_differ_with_their_values():
  found = names(
    "data.data_dir=a/b,'a b','a,b',a-b",
    'model.block_layers=(1,2),[1,1]',
    'optimizer.clip_norm=none,2',
  )
  assert len(set(found)) == 16
  assert all(re.fullmatch(r'[A-Za-z0-9._+@=,~-]+', name) for name in found)
  assert 'block_layers=1-2' in found[0]
  assert 'clip_norm=None' in found[0]


def test_a_name_depends_on_the_settings_alone():
  assert names('seed=0,1')[1] == names('seed=1,2,3')[0]
  assert names('optimizer.learning_rate=1') == names('optimizer.learning_rate=1.0')
  # Two keys that end alike are named whole.
  assert names('model.name=pose_resnet18', 'codec.name=udp') == [
    'model.name=pose_resnet18,codec.name=udp'
  ]


def test_configs_survive_json():
  for run in grid.runs(tiny.config(), ['model.block_layers=(1,2),(2,2)', 'task.crop_size=(64,32)']):
    assert Config.from_dict(run.config.to_dict()) == run.config
