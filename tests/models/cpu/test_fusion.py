"""Computations that are kept alone: the same numbers, and what is shared is computed once."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models.cpu import fusion

DEPTH = 8


def chain(add):
  """Return a function whose residual sums are used by a product each and by the next sum."""

  def fn(x, kernels):
    for kernel in kernels:
      x = add(jnp.tanh(x) @ kernel, x)
    return x

  return fn


def plain_add(x, y):
  return jax.nn.relu(x + y)


alone_add = fusion.alone(plain_add)


@pytest.fixture
def operands():
  rng = np.random.default_rng(0)
  return (
    jnp.asarray(rng.normal(size=(16, 24)), jnp.float32),
    jnp.asarray(rng.normal(size=(DEPTH, 24, 24)) / 5, jnp.float32),
  )


def test_is_the_function_and_its_gradient(operands):
  loss = lambda add: lambda *args: jnp.square(chain(add)(*args)).sum()  # noqa: E731
  expected = jax.jit(jax.value_and_grad(loss(plain_add), (0, 1)))(*operands)
  found = jax.jit(jax.value_and_grad(loss(alone_add), (0, 1)))(*operands)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)


def test_is_the_function_under_vmap(operands):
  x, kernels = operands
  batched = jnp.stack([x, 2 * x])
  found = jax.vmap(chain(alone_add), (0, None))(batched, kernels)
  for one, y in zip(batched, found, strict=True):
    np.testing.assert_allclose(y, chain(plain_add)(one, kernels), rtol=1e-5, atol=1e-5)


def most_operands(fn, *operands) -> int:
  """Return how many operands the largest fusion of a compiled function has."""
  text = jax.jit(fn).lower(*operands).compile().as_text()
  return max(len(found.split(',')) for found in re.findall(r' fusion\(([^)]*)\)', text))


def test_no_fusion_computes_the_chain_anew(operands):
  if jax.default_backend() != 'cpu':
    pytest.skip('elsewhere it is the function itself')
  # Without it there is one that does. Where that is no longer so, fusion.alone can go.
  assert most_operands(chain(plain_add), *operands) > DEPTH / 2
  assert most_operands(chain(alone_add), *operands) <= 3
  gradient = lambda add: jax.grad(lambda *args: jnp.square(chain(add)(*args)).sum())  # noqa: E731
  assert most_operands(gradient(plain_add), *operands) > DEPTH / 2
  assert most_operands(gradient(alone_add), *operands) <= 4


def test_what_it_calls_is_part_of_it(operands):
  if jax.default_backend() != 'cpu':
    pytest.skip('elsewhere it is the function itself')
  x, _ = operands
  # jax.nn.relu, which it calls, is a compiled function itself.
  text = jax.jit(alone_add).lower(x, 2 * x).compile().as_text()
  assert len(re.findall(r' (?:call|fusion)\(', text)) == 2  # of the function, and within it
