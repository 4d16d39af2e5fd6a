"""A depthwise convolution on the CPU: a sum of shifted products against XLA's grouped convolution.

    python benchmarks/depthwise.py
    python benchmarks/depthwise.py --gradients

Layers are MoveNet Thunder's, 3x3 with TensorFlow's `SAME` padding, followed by a bias and ReLU6 as there;
the two forms take turns, and the table gives medians.
"""

import argparse
import os
import time

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
import jax.numpy as jnp
import numpy as np

from posejax.models import mobile_layers

LAYERS = ((128, 56, 1), (128, 192, 2), (64, 240, 1), (32, 336, 1), (16, 672, 1), (8, 1680, 1))
"""(height and width, channels, stride)."""


def grouped(x, kernel, stride):
  padding = mobile_layers.same_padding(x.shape[1:3], kernel.shape[0], stride)
  return mobile_layers.grouped_conv2d(x, kernel, stride, padding)


def program(convolve, stride, gradients):
  def forward(x, kernel):
    return jnp.clip(convolve(x, kernel, stride) + 1, 0, 6)

  if gradients:
    return jax.jit(jax.grad(lambda x, kernel: (forward(x, kernel) ** 2).sum(), (0, 1)))
  return jax.jit(forward)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--batch', type=int, default=1)
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument('--gradients', action='store_true', help='time gradients of both arguments')
  flags = parser.parse_args()
  print('| map | stride | shifted products ms | grouped ms | ratio |\n|---|---|---|---|---|')
  rng = np.random.default_rng(0)
  for side, channels, stride in LAYERS:
    x = jnp.asarray(rng.random((flags.batch, side, side, channels)), jnp.float32)
    kernel = jnp.asarray(rng.random((3, 3, 1, channels)), jnp.float32)
    forms = [program(f, stride, flags.gradients) for f in (mobile_layers.depthwise_conv2d, grouped)]
    results = [jax.block_until_ready(f(x, kernel)) for f in forms]
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * float(jnp.abs(b).max()))
    times = ([], [])
    for _ in range(flags.repeats):
      for f, spent in zip(forms, times, strict=True):
        began = time.perf_counter()
        jax.block_until_ready(f(x, kernel))
        spent.append(1e3 * (time.perf_counter() - began))
    ours, theirs = (float(np.median(t)) for t in times)
    print(
      f'| {side}x{side}x{channels} | {stride} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.0f} |',
      flush=True,
    )


if __name__ == '__main__':
  main()
