"""Where a compiled program must not join one computation with the next.

XLA's CPU backend fuses an elementwise computation into each of its consumers, so that what has two is
computed twice. A residual sum feeds the block's first convolution and the next sum, which feeds the next
but one: in HRNet the last of them computed up to 135 operands anew. The concatenations of a DenseNet and
the gradients of both did the same. `lax.optimization_barrier` does not help, which that backend removes
before it fuses.
"""

from collections.abc import Callable
import functools

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata


def alone(fn: Callable) -> Callable:
  """Return `fn` of arrays, on CPUs a function of its own in the compiled program; so is its gradient.

  Its inputs and its results are then written to memory, once each: worth it where a result has several
  uses. In a program for a GPU or TPU it is `fn`. The attribute is the one by which
  `jax.experimental.compute_on` keeps computations from being inlined.
  """

  @jax.jit
  def compiled(*args):
    # Functions called within, of which jax.numpy has many, are inlined there.
    with set_xla_metadata(inlineable=None):
      return fn(*args)

  def apart(*args):
    with set_xla_metadata(inlineable='false'):
      return compiled(*args)

  @functools.wraps(fn)
  def call(*args):
    return lax.platform_dependent(*args, cpu=apart, default=fn)

  return call
