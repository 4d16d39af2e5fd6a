"""What detectors compute between their nets, on the CPU: NMS, RoIAlign and the peaks of resized maps.

    python benchmarks/detection_ops.py

The least and the median of repeated calls. Suppression depends on how many boxes stay, so 2,000 boxes
are spread over three areas; RoIs are of a picture of 800x1333 with 256 channels.
"""

import argparse
import os
import time

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from posejax.ops import nms, resize, roi_align

CANVAS = (800, 1344)


def report(name, fn, *args, repeats):
  jax.block_until_ready(fn(*args))
  times = []
  for _ in range(repeats):
    began = time.perf_counter()
    jax.block_until_ready(fn(*args))
    times.append(1e3 * (time.perf_counter() - began))
  print(f'| {name} | {min(times):.2f} | {np.median(times):.2f} |')


def boxes_within(rng, n, h, w, largest=500):
  middle = rng.uniform(0, [w, h], (n, 2))
  half = np.exp(rng.uniform(np.log(8), np.log(largest), (n, 2))) / 2
  boxes = np.concatenate([middle - half, middle + half], 1)
  return jnp.asarray(boxes.clip(0, [w, h, w, h]), jnp.float32)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--repeats', type=int, default=15)
  flags = parser.parse_args()
  rng = np.random.default_rng(0)
  print('| operation | least ms | median ms |\n|---|---|---|')
  suppress = jax.jit(lambda boxes, scores: nms.nms(boxes, scores, 0.5, 2000))
  scores = jnp.asarray(rng.random(2000), jnp.float32)
  for side in (200, 800, 4000):
    boxes = boxes_within(rng, 2000, side, side, 150)
    stay = int(suppress(boxes, scores)[1].sum())
    name = f'NMS, 2,000 boxes, {stay} stay'
    report(name, suppress, boxes, scores, repeats=flags.repeats)
  sizes = {s: (1, CANVAS[0] // s, CANVAS[1] // s, 256) for s in (4, 8, 16, 32)}
  maps = {s: jnp.asarray(rng.standard_normal(size), jnp.float32) for s, size in sizes.items()}
  align = jax.jit(lambda maps, boxes: roi_align.roi_align(maps, boxes, 7))
  gradient = jax.jit(jax.grad(lambda maps, boxes: (align(maps, boxes) ** 2).sum()))
  boxes = boxes_within(rng, 1000, *CANVAS)[None]
  report('RoIAlign 7x7, 1,000 RoIs', align, maps, boxes, repeats=flags.repeats)
  report('its gradient, 128 RoIs', gradient, maps, boxes[:, :128], repeats=flags.repeats)
  heatmaps = jnp.asarray(rng.standard_normal((10, 17, 56, 56)), jnp.float32)
  peaks = jax.jit(
    lambda maps, size: lax.map(lambda one: resize.peaks(one, (size[0], size[1])), maps)
  )
  size = jnp.array([400, 200], jnp.int32)
  report('peaks of 10 people, 400x200 each', peaks, heatmaps, size, repeats=flags.repeats)


if __name__ == '__main__':
  main()
