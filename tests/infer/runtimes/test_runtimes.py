"""Every runtime gives the same keypoints, and the fastest one is found."""

import concurrent.futures
import importlib.util
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer.export import check, files
from posejax.infer.export.program.values import CannotWriteError
from posejax.infer.runtimes import choose
from posejax.infer.runtimes.base import NotInstalledError, Runtime
from posejax.infer.runtimes.litert_runtime import LiteRt
from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
from posejax.infer.runtimes.openvino_runtime import OpenVino
from tests.infer.export import pipelines

# Not by importing it, which may start a process: see posejax.infer.runtimes.openvino_runtime.
_HAS_OPENVINO = importlib.util.find_spec('openvino') is not None
_NO_FORK = """
import os
import time

def fork():
  raise SystemExit('forked')

os.fork = fork
from posejax.infer.runtimes.openvino_runtime import OpenVino
try:
  OpenVino(b'')
except Exception:
  import openvino
  import sys
  assert sys.modules['openvino_telemetry'] is None
"""


@pytest.fixture
def pipeline():
  return pipelines.build('compact', in_image=True)


@pytest.mark.parametrize('name', choose.NAMES)
def test_keypoints(name, pipeline):
  if name == 'openvino' and not _HAS_OPENVINO:
    pytest.skip('OpenVINO is not installed')
  chosen = choose.create(name, pipeline)
  assert chosen.runtime.name == name
  assert str(chosen) == chosen.runtime.describe()
  inputs = check.try_inputs(pipeline.crop_size, in_image=True)
  inputs = {name: np.resize(array, (11, *array.shape[1:])) for name, array in inputs.items()}
  expected = pipeline(**inputs)
  for size in (3, 1, 2, 5, 8, 9, 11):
    some = {name: array[:size] for name, array in inputs.items()}
    found = chosen.runtime(some)
    assert {n: (a.shape, str(a.dtype)) for n, a in found.items()} == {
      'keypoints': ((size, 17, 2), 'float32'),
      'scores': ((size, 17), 'float32'),
    }
    assert check.compare(found, {n: np.asarray(a)[:size] for n, a in expected.items()}).good


@pytest.mark.skipif(not _HAS_OPENVINO, reason='OpenVINO is not installed')
def test_bfloat16_of_openvino_is_rough(pipeline):
  model = files.onnx_bytes(pipeline)
  inputs = check.try_inputs(pipeline.crop_size, in_image=True)
  exact, rough = (OpenVino(model, precision)(inputs) for precision in ('float32', 'bfloat16'))
  error = check.compare(rough, exact).score
  assert error < 0.1
  with pytest.raises(PosejaxError, match="no 'float31'.*'float32'"):
    OpenVino(model, 'float31')


@pytest.mark.parametrize('name', ['onnx', 'litert'])
def test_results_are_ones_own(name, pipeline):
  runtime = choose.create(name, pipeline).runtime
  inputs = check.try_inputs(pipeline.crop_size, in_image=True)
  first = runtime(inputs)['scores']
  kept = first.copy()
  runtime({**inputs, 'images': 255 - inputs['images']})
  np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize('name', choose.NAMES)
def test_many_threads_at_once(name, pipeline):
  if name == 'openvino' and not _HAS_OPENVINO:
    pytest.skip('OpenVINO is not installed')
  runtime = choose.create(name, pipeline).runtime
  crops = [check.try_inputs(pipeline.crop_size, in_image=True, seed=seed) for seed in range(4)]
  alone = [runtime(inputs) for inputs in crops]

  def often(inputs):
    return [runtime(inputs) for _ in range(20)]

  with concurrent.futures.ThreadPoolExecutor(len(crops)) as pool:
    together = list(pool.map(often, crops))
  for results, expected in zip(together, alone, strict=True):
    for found in results:
      np.testing.assert_allclose(found['scores'], expected['scores'], atol=1e-6)


EXAMPLE = {'images': np.zeros((1, 2, 3, 3), np.uint8)}


class _Sleeps(Runtime):
  def __init__(self, name, seconds):
    self.name, self._seconds = name, seconds

  def _run(self, inputs, count):
    time.sleep(self._seconds)
    return {}

  def describe(self):
    return f'{self.name}, slept'


def _raises(error):
  def make():
    raise error

  return make


_missing = _raises(NotInstalledError("openvino is not installed; pip install 'posejax[openvino]'."))


def test_the_fastest_that_is_installed():
  makers = {
    'xla': lambda: _Sleeps('xla', 0.02),
    'onnx': lambda: _Sleeps('onnx', 0.002),
    'openvino': _missing,
  }
  chosen = choose.fastest(makers, EXAMPLE)
  assert chosen.runtime.name == 'onnx'
  assert list(chosen.milliseconds) == ['onnx', 'xla']
  assert str(chosen).startswith('onnx, slept, the fastest of onnx ')
  assert str(chosen).endswith("pip install 'posejax[openvino]'.")
  with pytest.raises(PosejaxError, match='openvino is not installed'):
    choose.fastest({'openvino': _missing}, EXAMPLE)


_unwritten = _raises(
  CannotWriteError("The net computes 'while', which cannot be written to ONNX yet.")
)


def test_a_runtime_that_cannot_run_the_net_is_left_out():
  chosen = choose.fastest({'xla': lambda: _Sleeps('xla', 0.001), 'onnx': _unwritten}, EXAMPLE)
  assert chosen.runtime.name == 'xla'
  assert str(chosen).endswith("The net computes 'while', which cannot be written to ONNX yet.")


class _Fails(_Sleeps):
  def _run(self, inputs, count):
    raise RuntimeError('bias must be 1D')


def test_a_runtime_that_fails_in_its_own_way_is_left_out():
  makers = {
    'xla': lambda: _Sleeps('xla', 0.001),
    'onnx': lambda: _Fails('onnx', 0),
    'openvino': _raises(ImportError('libopenvino.so: cannot open shared object file')),
  }
  chosen = choose.fastest(makers, EXAMPLE)
  assert list(chosen.milliseconds) == ['xla']
  assert 'onnx cannot run this net (RuntimeError: bias must be 1D)' in str(chosen)
  assert 'openvino cannot run this net (ImportError: libopenvino.so' in str(chosen)


def test_what_is_not_installed_is_said_in_one_sentence(pipeline, monkeypatch):
  monkeypatch.setitem(sys.modules, 'onnxruntime', None)
  with pytest.raises(
    NotInstalledError, match=r"onnxruntime is not.*pip install 'posejax\[export\]'"
  ):
    OnnxRuntime(b'')
  with pytest.raises(PosejaxError, match="--runtime=onx is no runtime.*'onnx'"):
    choose.create('onx', pipeline)
  monkeypatch.setitem(sys.modules, 'onnx', None)
  with pytest.raises(NotInstalledError, match="onnx is not installed; pip install 'posejax"):
    files.onnx_bytes(pipeline)
  monkeypatch.setitem(sys.modules, 'ai_edge_litert', None)
  for make in (lambda: LiteRt(b''), lambda: files.tflite_bytes(pipeline)):
    with pytest.raises(
      NotInstalledError, match=r"ai_edge_litert is not installed; pip install 'posejax\[litert\]'"
    ):
      make()


@pytest.mark.skipif(not _HAS_OPENVINO, reason='OpenVINO is not installed')
def test_openvino_reports_nothing_over_the_network():
  done = subprocess.run(
    [sys.executable, '-c', _NO_FORK],
    cwd=os.path.join(os.path.dirname(__file__), '..', '..', '..'),
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert 'forked' not in done.stderr
