"""What all tests share: the CPU, one cache of compiled programs, and the folder of real data."""

import os
import tempfile

# Before JAX is imported, here and in every process that a test starts.
os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ.pop('XLA_FLAGS', None)
_CACHE = os.path.join(tempfile.gettempdir(), f'posejax-tests-{os.getuid()}', 'xla')
os.environ['JAX_COMPILATION_CACHE_DIR'] = _CACHE
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.1'

import pytest


@pytest.fixture(scope='session')
def cache_dir() -> str:
  """Return the folder of compiled programs that the tests and what they start share."""
  return _CACHE


@pytest.fixture(scope='session')
def real_data() -> str:
  """Return the folder of real data sets, named by POSEJAX_REAL_DATA."""
  folder = os.environ.get('POSEJAX_REAL_DATA')
  if not folder:
    pytest.skip('POSEJAX_REAL_DATA names no folder of real data')
  return folder


@pytest.fixture(scope='session')
def tiny_run(tmp_path_factory) -> str:
  """Return the work directory of a trained run of `tests.tiny`."""
  from posejax.train import loop
  from tests import tiny

  workdir = str(tmp_path_factory.mktemp('runs') / 'tiny')
  loop.train(tiny.config(num_steps=2), workdir)
  return workdir


@pytest.fixture(scope='session')
def slurm(tmp_path_factory):
  """Yield a Slurm of one node on this machine; skip where it is not installed."""
  from tests.launch import slurm_node

  try:
    with slurm_node.running(tmp_path_factory.mktemp('slurm')) as node:
      yield node
  except slurm_node.NoSlurmError as error:
    pytest.skip(f'no Slurm here: {error}')
