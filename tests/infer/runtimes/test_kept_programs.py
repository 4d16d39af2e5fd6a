"""A net that was used before starts from its kept programs, and from nobody else's."""

import dataclasses
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from posejax.infer.predictor import Predictor
from posejax.infer.runtimes import kept_programs
from posejax.infer.runtimes.kept_programs import KeptPrograms
from posejax.runs import published_nets, saved_run
from posejax.tasks.net import apply


@pytest.fixture
def net(tiny_run):
  return saved_run.read(tiny_run, 'latest').net()


@pytest.fixture
def caching(tmp_path, monkeypatch):
  """Return the folder where nets are kept, in a process that says where its code is."""
  monkeypatch.setattr(sys.modules['__main__'], '__file__', __file__, raising=False)
  before = jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', str(tmp_path))
  yield tmp_path / 'nets'
  jax.config.update('jax_compilation_cache_dir', before)


@pytest.fixture
def traced(monkeypatch):
  """Return a list that grows whenever a predictor's function is traced or its outputs are asked for."""
  found = []
  compile_anew, trace = KeptPrograms._compile, kept_programs.traced_outputs

  def counted_compile(*arguments):
    found.append('program')
    return compile_anew(*arguments)

  def counted_trace(*arguments):
    found.append('outputs')
    return trace(*arguments)

  monkeypatch.setattr(KeptPrograms, '_compile', counted_compile)
  monkeypatch.setattr(kept_programs, 'traced_outputs', counted_trace)
  return found


def pictures(count):
  return list(np.random.default_rng(0).integers(0, 256, (count, 50, 70, 3), np.uint8))


def answers(predictor, count=1):
  results = predictor(pictures(count))
  return np.stack([result.instances[0].keypoints for result in results])


def test_the_second_start_traces_nothing_and_answers_the_same_bits(net, caching, traced):
  first = answers(Predictor.of(net), 4)
  assert traced == ['outputs', 'program', 'program']  # for one picture, and for several
  apply.clear_cache()
  np.testing.assert_array_equal(answers(Predictor.of(net), 4), first)
  assert len(traced) == 3
  np.testing.assert_array_equal(answers(Predictor.of(net, kept=None), 4), first)


def test_other_weights_take_the_same_programs(net, caching, traced):
  answers(Predictor.of(net))
  other = net._replace(variables=jax.tree.map(lambda leaf: 1.5 * leaf, net.variables))
  expected = answers(Predictor.of(other, kept=None))
  before = list(traced)
  np.testing.assert_array_equal(answers(Predictor.of(other)), expected)
  assert traced == before


@pytest.mark.parametrize('change', ['flip test', 'colours', 'decoding', 'code', 'flags'])
def test_what_changes_the_program_makes_another(
  net, caching, traced, change, monkeypatch, tmp_path
):
  Predictor.of(net)
  before = len(traced)
  if change == 'flip test':
    net = net.changed('task', flip=True)
  elif change == 'colours':
    inputs = dataclasses.replace(net.config.inputs, channels='bgr')
    net = net._replace(config=dataclasses.replace(net.config, inputs=inputs))
  elif change == 'decoding':
    net = net.changed('codec', name='dark')
  elif change == 'code':
    (tmp_path / 'mine.py').write_text('NAME = 1\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__('mine')
    Predictor.of(net)
    before = len(traced)
    (tmp_path / 'mine.py').write_text('NAME = 12\n')
  else:
    monkeypatch.setenv('XLA_FLAGS', '--xla_cpu_enable_fast_min_max=true')
  Predictor.of(net)
  assert 'program' in traced[before:]


@pytest.mark.parametrize('damage', ['cut short', 'one bit', 'empty', 'of another form'])
def test_what_is_damaged_is_made_anew(net, caching, traced, damage):
  expected = answers(Predictor.of(net))
  for path in caching.iterdir():
    content = path.read_bytes()
    if damage == 'cut short':
      content = content[: len(content) // 2]
    elif damage == 'one bit':
      content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    else:
      content = b'' if damage == 'empty' else b'{}'
    path.write_bytes(content)
  np.testing.assert_array_equal(answers(Predictor.of(net)), expected)
  before = len(traced)
  np.testing.assert_array_equal(answers(Predictor.of(net)), expected)
  assert len(traced) == before


def test_a_folder_that_cannot_be_written_only_costs_time(net, caching):
  caching.write_text('somebody put a file here')
  np.testing.assert_array_equal(answers(Predictor.of(net)), answers(Predictor.of(net, kept=None)))


def test_nothing_is_kept_in_a_bucket(net, caching):
  jax.config.update('jax_compilation_cache_dir', 'gs://somewhere/xla')
  assert KeptPrograms.of(net) is None


def test_nothing_is_kept_of_code_that_is_in_no_file(net, caching, monkeypatch):
  monkeypatch.delattr(sys.modules['__main__'], '__file__')
  assert KeptPrograms.of(net) is None


def test_the_next_process_takes_it(tmp_path):
  """A kept program was compiled for its process's devices, which the next has as objects of its own."""
  script = tmp_path / 'look.py'
  script.write_text(
    'import sys\n'
    'import numpy as np\n'
    'from posejax.infer.predictor import Predictor\n'
    'from posejax.process import startup\n'
    'startup.begin(sys.argv[1])\n'
    'if sys.argv[3:]:\n'
    '  def never(*_):\n'
    '    sys.exit("traced again")\n'
    '  import posejax.infer.export.pipeline as pipeline\n'
    '  pipeline.Pipeline.apply = never\n'
    f'found = Predictor.load({published_nets.SHIPPED!r})(np.zeros((90, 60, 3), np.uint8))\n'
    'np.save(sys.argv[2], found.instances[0].keypoints)\n'
  )
  environment = {**os.environ, 'PYTHONPATH': os.getcwd()}
  for arguments in (['one.npy'], ['two.npy', 'again']):
    run = [sys.executable, str(script), str(tmp_path / 'cache'), str(tmp_path / arguments[0])]
    subprocess.run([*run, *arguments[1:]], check=True, env=environment, timeout=300)
  np.testing.assert_array_equal(np.load(tmp_path / 'one.npy'), np.load(tmp_path / 'two.npy'))
