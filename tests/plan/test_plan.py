"""`posejax plan`: run for real on two devices, compiled for four that are not here, and refused."""

import importlib.util
import os
import subprocess
import sys

import jax
import pytest

from posejax import cli, devices
from posejax.errors import PosejaxError
from posejax.plan import chips, compiled, gpus, model, report
from posejax.plan.collectives import Collective
from tests import tiny

CONFIG = """
import ml_collections
from tests import tiny

def get_config():
  return ml_collections.ConfigDict(tiny.config().to_dict())
"""


@pytest.fixture
def config_file(tmp_path):
  path = tmp_path / 'configs' / 'tiny_plan.py'
  path.parent.mkdir()
  path.write_text(CONFIG)
  return str(path)


def posejax(*arguments, **environment):
  """Return what `posejax ARGUMENTS` says, in a process of its own."""
  result = subprocess.run(
    [sys.executable, '-m', 'posejax.cli', *arguments],
    env={**os.environ, 'PYTHONPATH': os.getcwd(), **environment},
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )
  assert result.returncode == 0, result.stderr[-3000:]
  return result


def steps_in(cache):
  return sorted(path.name for path in cache.iterdir() if path.name.startswith('jit_train_step'))


def test_on_cpu_model_and_measurement_stand_side_by_side(config_file, tmp_path):
  options = [f'--config={config_file}', '--config.model.bn_group_size=device']
  cache = tmp_path / 'cache'
  keep = ['--platform=cpu', '--devices=2', '--per_chip=4', f'--cache={cache}']
  result = posejax('plan', *options, *keep)
  assert 'batch 8 on 2 devices (4 each)' in result.stdout
  assert 'Batch norm: statistics of groups of 4 examples;' in result.stdout
  assert 'all-reduce    1 between 2 devices' in result.stdout
  modelled, measured = result.stdout.split('Modelled from this machine')[1].split('Measured here')
  assert 'step' in modelled
  assert 'on 2 devices' in measured

  # A run of the same config on two devices compiles no step.
  before = steps_in(cache)
  assert len(before) == 2  # and one of the whole batch on one device
  flag = '--xla_force_host_platform_device_count=2'
  run = [f'--workdir={tmp_path / "run"}', f'--compilation_cache={cache}']
  posejax('train', *options, *run, XLA_FLAGS=flag, JAX_PLATFORMS='cpu')
  assert steps_in(cache) == before


def test_a_step_is_compiled_for_a_slice_that_is_not_here():
  pytest.importorskip('libtpu', reason='the compiler of the extra "tpu" is not installed')
  mesh = devices.make_mesh(compiled.described('v5e:2x2', 1))
  step = compiled.compile_step(tiny.config(model__bn_group_size='device'), mesh)
  chip, sides = chips.parse('v5e:2x2')
  slices = chips.Slices(chip, sides, 1, devices.num_hosts(mesh))
  assert (slices.chips_per_slice, slices.num_hosts, mesh.size) == (4, 1, 4)
  assert {c.kind for c in step.cost.collectives} == {'all-reduce'}
  assert len(step.cost.collectives) <= 2
  # Gradients and running statistics, and a few scalars, in float32.
  variables = jax.eval_shape(step.experiment.task.init, jax.random.key(0))
  expected = 4 * sum(leaf.size for leaf in jax.tree.leaves(variables))
  assert sum(c.size for c in step.cost.collectives) == pytest.approx(expected, rel=0.01)
  lines = report.modelled_lines(model.estimate(step.cost, slices, 8), slices, step.memory)
  assert any('efficiency' in line for line in lines)
  with pytest.raises(PosejaxError, match='--topology=v5e:7x9 .* cannot be compiled for: '):
    compiled.described('v5e:7x9', 1)


def test_a_step_is_compiled_for_gpus_that_are_not_here():
  pytest.importorskip(
    'jax_cuda13_plugin', reason='the compiler of the extra "cuda" is not installed'
  )
  name, nodes = chips.parse_nodes('h100:2x2')
  mesh = devices.make_mesh(gpus.described(name, 2, 2))
  step = compiled.compile_step(tiny.config(model__bn_group_size='device'), mesh)
  assert (mesh.size, devices.num_hosts(mesh), nodes.num_hosts) == (4, 2, 2)
  assert {(c.kind, c.devices) for c in step.cost.collectives} == {('all-reduce', 4)}
  variables = jax.eval_shape(step.experiment.task.init, jax.random.key(0))
  expected = 4 * sum(leaf.size for leaf in jax.tree.leaves(variables))
  assert sum(c.size for c in step.cost.collectives) == pytest.approx(expected, rel=0.01)
  # What a CPU's compiler tells of the same step, whose convolutions it has other forms of.
  one = compiled.compile_step(step.config, devices.make_mesh(jax.devices('cpu')[:1]))
  assert step.cost.flops == pytest.approx(one.cost.flops / 4, rel=0.5)
  assert step.cost.traffic is None
  assert step.memory > expected


@pytest.mark.skipif(bool(importlib.util.find_spec('jax_cuda13_plugin')), reason='installed')
def test_without_their_compiler_gpus_are_refused_by_name(config_file, capsys):
  options = ['--platform=cuda', '--topology=h100:2x8']
  assert cli.main(['plan', f'--config={config_file}', *options]) == 2
  message = capsys.readouterr().err
  assert "pip install 'posejax[cuda]'" in message
  assert 'pip install --no-deps jax-cuda13-plugin jax-cuda13-pjrt' in message


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (
      ['--topology=v5e:2x2', '--platform=cuda'],
      "'v5e' is no chip whose rates are known; those are h100",
    ),
    (
      ['--topology=h100:8', '--platform=cuda'],
      'must be nodes times GPUs of each, such as h100:2x8',
    ),
    ([], 'Name the slice to plan for, --topology=v5e:16x16'),
    (['--topology=v9:2x2'], "--topology=v9:2x2: 'v9' is no chip whose rates are known"),
    (['--topology=v5e:2x2', '--per_chip=0'], '--per_chip=0 must be at least 1'),
    (['--topology=v5e:2x2', '--devices=4'], '--devices=4 does not go with --platform=tpu'),
    (['--topology=h100:2x8', '--platform=cuda', '--slices=2'], '--slices=2 does not go with'),
    (
      ['--topology=v5e:2x2', '--platform=cpu'],
      '--topology=v5e:2x2 does not go with --platform=cpu',
    ),
  ],
)
def test_what_cannot_be_planned_is_named(config_file, capsys, options, message):
  assert cli.main(['plan', f'--config={config_file}', *options]) == 2
  assert message in capsys.readouterr().err


def test_collectives_are_listed_by_kind_and_devices():
  found = [
    Collective('all-reduce', 2_000_000, 4, False),
    Collective('all-reduce', 500_000, 4, False),
    Collective('all-gather', 10_000, 2, True),
  ]
  assert report.collective_lines(found) == [
    'all-gather    1 between 2 devices, 0.01 MB together, beside computing',
    'all-reduce    2 between 4 devices, 2.50 MB together',
  ]
  assert report.collective_lines([]) == ['no collectives']
