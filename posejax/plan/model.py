"""How long a step takes by published rates: every formula of `posejax plan`.

A step computes, then exchanges. Computing takes as long as its arithmetic at `ARITHMETIC` of the peak
or its memory traffic at `TRAFFIC` of the memory's rate, whichever is longer. An exchange takes what its
bytes need on the links and what its messages need to reach the last device; what is exchanged
asynchronously costs only what computing does not hide.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

from posejax.plan.chips import Slices
from posejax.plan.collectives import Collective

ARITHMETIC = 0.5
"""Share of the peak that convolutions reach; assumed."""
TRAFFIC = 0.8
"""Share of the memory's rate that is reached; assumed."""
HOP_SECONDS = 1e-6
"""From a chip to its neighbour; assumed, as the next."""
NETWORK_SECONDS = 50e-6
"""From a slice to another."""
IMAGES_PER_CORE = 491
"""COCO's pictures that a core decodes, crops and augments in a second (benchmarks/README.md)."""


class Cost(NamedTuple):
  """What one device does in a step.

  Attributes:
    flops: operations.
    traffic: bytes read from and written to its memory; None where the compiler does not tell.
    collectives: what it exchanges.
  """

  flops: float
  traffic: float | None
  collectives: Sequence[Collective]


class Estimate(NamedTuple):
  """A step's times, in seconds, and what follows from them.

  Attributes:
    arithmetic: of the operations.
    traffic: of the memory.
    exchange: of the collectives that computing does not hide.
    images_per_host: how many examples each host must make ready a second.
    cores_per_host: how many cores that takes.
  """

  arithmetic: float
  traffic: float
  exchange: float
  images_per_host: float
  cores_per_host: int

  @property
  def computing(self) -> float:
    """Seconds of a step on one device alone."""
    return max(self.arithmetic, self.traffic)

  @property
  def step(self) -> float:
    """Seconds of a step."""
    return self.computing + self.exchange

  @property
  def efficiency(self) -> float:
    """Share of a step that is not spent on exchanging."""
    return self.computing / self.step


def estimate(cost: Cost, slices: Slices, batch_size: int) -> Estimate:
  """Return the times of a step over a batch of `batch_size` examples, all devices together."""
  arithmetic = cost.flops / (ARITHMETIC * slices.chip.peak_flops)
  traffic = (cost.traffic or 0.0) / (TRAFFIC * slices.chip.memory_rate)
  waited = sum(seconds(c, slices) for c in cost.collectives if not c.is_async)
  beside = sum(seconds(c, slices) for c in cost.collectives if c.is_async)
  computing = max(arithmetic, traffic)
  exchange = waited + max(beside - computing, 0.0)
  images = batch_size / slices.num_hosts / (computing + exchange)
  return Estimate(arithmetic, traffic, exchange, images, math.ceil(images / IMAGES_PER_CORE))


def seconds(collective: Collective, slices: Slices) -> float:
  """Return how long one collective takes.

  On a torus, `n` devices pass an array of `S` bytes around in 2 S (n - 1) / n bytes each for a sum that
  all get, half of that for a gather or a scatter; the last device is as many hops away as the sides are
  long together. Over several slices each chip sends its part of the slice's sum over the network: the
  compiler says so by itself for TPUs, with several such sums on the way at once.
  Source: Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms" (2009), for the bytes.
  """
  n = collective.devices
  if n == 1:
    return 0.0
  ways = 2 if collective.kind == 'all-reduce' else 1
  if collective.between_slices:
    sent = ways * collective.size * (n - 1) / n
    waiting = 0.0 if collective.is_joined else ways * NETWORK_SECONDS
    return sent / slices.chip.network_rate + waiting
  inside = min(n, slices.chips_per_slice)
  hops = min(inside, sum(slices.sides))
  share = 1 if collective.kind == 'collective-permute' else (inside - 1) / inside
  time = ways * collective.size * share / slices.chip.link_rate + hops * HOP_SECONDS
  num_slices = math.ceil(n / slices.chips_per_slice)
  if num_slices > 1:
    sent = ways * collective.size / inside * (num_slices - 1) / num_slices
    time += sent / slices.chip.network_rate + ways * NETWORK_SECONDS
  return time
