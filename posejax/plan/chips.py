"""What accelerators do by their makers' figures."""

from collections.abc import Mapping
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


# Source: NVIDIA's data sheet of the H100 SXM ("BFLOAT16 Tensor Core" without sparsity, "GPU Memory
# Bandwidth", "NVLink: 900GB/s", both ways together) and of the DGX H100 (eight 400 Gb/s adapters).
GPUS = {'h100': Chip(989.5e12, 80e9, 3.35e12, 450e9, 50e9)}


@dataclasses.dataclass(frozen=True)
class Slices:
  """Chips as they are joined; of GPUs, a node is a slice with one side.

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
  name, sides = _read(topology, CHIPS, 'a chip and the sides of its slice')
  return CHIPS[name], sides


def parse_nodes(topology: str) -> tuple[str, Slices]:
  """Return the name of the GPU, of `GPUS`, and the nodes of a topology such as 'h100:2x8', two of eight.

  Raises:
    PosejaxError: it is not written so, or the GPU has no rates here.
  """
  name, sides = _read(topology, GPUS, 'a GPU, the number of nodes and of GPUs in each')
  if len(sides) != 2:
    raise PosejaxError(
      f'--topology={topology} must be nodes times GPUs of each, such as {name}:2x8.'
    )
  return name, Slices(GPUS[name], sides[1:], sides[0], sides[0])


def _read(topology: str, known: Mapping[str, Chip], form: str) -> tuple[str, tuple[int, ...]]:
  name, _, shape = topology.partition(':')
  if name not in known:
    raise PosejaxError(
      f'--topology={topology}: {name!r} is no chip whose rates are known; those are '
      f'{", ".join(known)}.' + nearest(name, known)
    )
  sides = shape.split('x')
  if not all(side.isdigit() and int(side) for side in sides):
    raise PosejaxError(f'--topology={topology} must be {form}, such as {name}:4x4.')
  return name, tuple(int(side) for side in sides)
