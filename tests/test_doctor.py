import os
import platform
import re
import subprocess
import sys

import jax
import jaxlib
import numpy as np
import pytest

from posejax import doctor
from posejax.doctor import checks, environment, reference
from posejax.models import layers

FAULTY_FLAG = '--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT'


def quotient(function, array, index, step=1e-6):
  """Return the central difference quotient of `function` along one element of `array`."""
  before = array[index]
  array[index] = before + step
  above = function()
  array[index] = before - step
  below = function()
  array[index] = before
  return (above - below) / (2 * step)


def test_the_reference_gradients_are_difference_quotients():
  rng = np.random.default_rng(0)
  params = [
    {'kernel': rng.standard_normal((3, 3, c, d)), 'bias': rng.standard_normal(d)}
    | {'scale': rng.standard_normal(d), 'shift': rng.standard_normal(d)}
    for c, d in ((2, 3), (3, 4))
  ]
  x, target = rng.standard_normal((2, 8, 12, 2)), rng.standard_normal((2, 2, 3, 4))
  _, gradients = reference.blocks(params, x, target)
  for block, gradient in zip(params, gradients, strict=True):
    for name, array in block.items():
      for flat in rng.choice(array.size, 3):
        index = np.unravel_index(flat, array.shape)
        expected = quotient(lambda: reference.blocks(params, x, target)[0], array, index)
        np.testing.assert_allclose(gradient[name][index], expected, rtol=1e-4, atol=1e-8)


def test_the_reference_deconvolution_and_its_gradients_are_adjoint():
  rng = np.random.default_rng(1)
  x, kernel = rng.standard_normal((2, 3, 5, 2)), rng.standard_normal((4, 4, 2, 3))
  dy = rng.standard_normal((2, 6, 10, 3))
  y, dx, dkernel = reference.deconv(x, kernel, dy)
  np.testing.assert_allclose((y * dy).sum(), (x * dx).sum())
  np.testing.assert_allclose((y * dy).sum(), (kernel * dkernel).sum())
  # One input pixel reaches the 4x4 output pixels around it.
  impulse = np.zeros_like(x)
  impulse[0, 1, 2, 0] = 1
  spread = reference.deconv(impulse, kernel, dy)[0][0]
  np.testing.assert_allclose(spread[1:5, 3:7], kernel[:, :, 0])
  assert np.count_nonzero(spread) == kernel[:, :, 0].size


def test_all_is_well_here():
  results = [check for group in checks.quick() for check in group]
  results += checks.precision() + checks.repeatability() + checks.pooling(3, 1, (3, 9, 14, 5))
  assert len(results) == 13
  assert [check for check in results if not check.ok] == []
  assert not all(check.canary for check in results)


def test_a_pooling_that_loses_gradients_is_found(monkeypatch):
  whole = layers.max_pool

  def halved(x, window, stride=2, padding=0):
    y = whole(x, window, stride, padding)
    return jax.lax.stop_gradient(y / 2) + y / 2

  monkeypatch.setattr(layers, 'max_pool', halved)
  value, gradient = checks.pooling(2, 0, (2, 6, 4, 3))
  assert value.ok
  assert gradient.error == pytest.approx(0.5)
  assert not gradient.ok


def test_a_shifted_deconvolution_is_found(monkeypatch):
  right = layers.deconv2d
  monkeypatch.setattr(
    layers, 'deconv2d', lambda x, kernel: jax.numpy.roll(right(x, kernel), 1, axis=2)
  )
  assert not any(check.ok for check in checks.deconvolution((2, 3, 5, 4), 3))


def test_a_bias_with_a_gradient_is_found(monkeypatch):
  class Wrong(layers.BatchNorm):
    def __call__(self, x, train):
      return super().__call__(x, train) + 0.1 * x

  monkeypatch.setattr(layers, 'BatchNorm', Wrong)
  gradients, bias = checks.blocks((2, 8, 12, 3), (4, 8), canary=False)
  assert not gradients.ok
  assert not bias.ok


def test_a_result_that_is_no_number_is_a_failure():
  assert not checks.Check('x', float('nan'), 1.0).ok


OWN = checks.Check('own', 1.0, 0.1)
CANARY = checks.Check('canary', 1.0, 0.1, canary=True)


@pytest.mark.parametrize(
  ('failures', 'flags', 'without', 'faults', 'advice'),
  [
    ([], ['--a'], None, [], '^$'),
    ([OWN], [], None, [OWN], 'this jaxlib computes wrongly on this device'),
    ([CANARY], [], None, [], 'Noted: by default, too'),
    ([OWN, CANARY], ['--a'], set(), [OWN, CANARY], 'Without --a these checks pass: that is the'),
    ([CANARY], ['--a'], {'canary'}, [], 'Noted'),
    ([OWN], ['--a'], {'own'}, [OWN], '^1 of them fail without --a as well'),
    ([OWN, CANARY], ['--a', '--b'], {'own'}, [OWN, CANARY], 'Without --a --b 1 of them pass'),
    ([CANARY], ['--a'], None, [CANARY], 'likely cause is --a'),
  ],
)
def test_the_verdict(failures, flags, without, faults, advice):
  found, said = doctor.judge(failures, flags, lambda: without)
  assert found == faults
  assert re.search(advice, said)


def test_flags_that_change_no_result_are_let_through(monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', f'--xla_force_host_platform_device_count=8 {FAULTY_FLAG}')
  assert environment.suspicious_flags() == [FAULTY_FLAG]
  monkeypatch.setenv('XLA_FLAGS', '--xla_force_host_platform_device_count=8 --xla_dump_to=/tmp/x')
  assert environment.suspicious_flags() == []
  doctor.refuse_faults()
  monkeypatch.delenv('XLA_FLAGS')
  assert environment.suspicious_flags() == []


def test_the_description_names_versions_devices_and_variables(monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', '--xla_dump_to=/tmp/x')
  text = environment.describe()
  assert f'jax {jax.__version__}, jaxlib {jaxlib.__version__}' in text
  assert f'{jax.local_device_count()} x cpu' in text
  assert 'XLA_FLAGS=--xla_dump_to=/tmp/x' in text


@pytest.mark.skipif(
  jaxlib.__version__ != '0.10.2' or platform.machine() != 'x86_64',
  reason='the fault was found with jaxlib 0.10.2 on x86-64',
)
def test_the_fusion_flag_of_jaxlib_0_10_2_is_refused():
  result = subprocess.run(
    [sys.executable, '-c', 'from posejax import doctor; doctor.refuse_faults()'],
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': FAULTY_FLAG},
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert result.returncode == 1
  assert f'With {FAULTY_FLAG} this machine computes wrong results' in result.stderr
  assert f'Without {FAULTY_FLAG} these checks pass: that is the cause' in result.stderr
