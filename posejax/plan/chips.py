"""What accelerators do by their makers' figures."""

import dataclasses
import math
from typing import NamedTuple

from posejax.errors import PosejaxError, nearest


class Chip(NamedTuple):
  """One chip's published rates.

  Attributes:
    peak_flops: bfloat16 operations a second.
    memory: bytes.
    memory_rate: bytes a second.
    link_rate: bytes a second that a chip sends to its neighbours, over all its links.
    network_rate: bytes a second that a chip's part of its host sends to another slice.
  """

  peak_flops: float
  memory: float
  memory_rate: float
  link_rate: float
  network_rate: float


# Source: https://cloud.google.com/tpu/docs/v5e, v5p and v6e: "Peak compute per chip (bf16)", "HBM
# capacity and bandwidth", "Interchip Interconnect BW" (1,600, 4,800 and 3,584 Gbps, each way), and v5e's
# "Data center network bandwidth per Pod" (6.4 Tbps over 256 chips). The network's rates of v5p and v6e:
# Austin et al., "How to Scale Your Model" (2025), chapter 2.
CHIPS = {
  'v5e': Chip(197e12, 16e9, 819e9, 200e9, 3.125e9),
  'v5p': Chip(459e12, 95e9, 2765e9, 600e9, 6.25e9),
  'v6e': Chip(918e12, 32e9, 1640e9, 448e9, 12.5e9),
}


@dataclasses.dataclass(frozen=True)
class Slices:
  """Chips as they are joined.

  Attributes:
    chip: each one's rates.
    sides: chips along each axis of a slice's torus.
    num_slices: slices, joined by the network of their hosts.
    num_hosts: of all slices.
  """

  chip: Chip
  sides: tuple[int, ...]
  num_slices: int
  num_hosts: int

  @property
  def chips_per_slice(self) -> int:
    """How many chips one slice has."""
    return math.prod(self.sides)


def parse(topology: str) -> tuple[Chip, tuple[int, ...]]:
  """Return the chip and the sides of a topology such as 'v5e:16x16'.

  Raises:
    PosejaxError: it is not written so, or the chip has no rates here.
  """
  name, _, shape = topology.partition(':')
  if name not in CHIPS:
    raise PosejaxError(
      f'--topology={topology}: {name!r} is no chip whose rates are known; those are '
      f'{", ".join(CHIPS)}.' + nearest(name, CHIPS)
    )
  sides = shape.split('x')
  if not all(side.isdigit() and int(side) for side in sides):
    raise PosejaxError(
      f'--topology={topology} must be a chip and the sides of its slice, such as {name}:4x4.'
    )
  return CHIPS[name], tuple(int(side) for side in sides)
