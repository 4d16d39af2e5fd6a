"""What `posejax plan` prints."""

import collections
from collections.abc import Sequence

from posejax.experiment import batch_norm
from posejax.plan import model
from posejax.plan.chips import Slices
from posejax.plan.collectives import Collective
from posejax.plan.compiled import Compiled
from posejax.plan.measured import Rates


def compiled_lines(compiled: Compiled, num_devices: int) -> list[str]:
  """Return what the compiler says of a step, for each device."""
  config, cost = compiled.config, compiled.cost
  traffic = 'not told' if cost.traffic is None else f'{cost.traffic / 1e9:,.2f} GB'
  return [
    f'{config.model["name"]}, {config.dtype}, batch {config.batch_size:,} on {num_devices:,} devices '
    f'({config.batch_size // num_devices} each)',
    batch_norm.describe(config, num_devices),
    'Compiled, for each device:',
    f'  memory        {compiled.memory / 1e6:,.0f} MB',
    f'  operations    {cost.flops / 1e9:,.1f} GFLOP',
    f'  traffic       {traffic}',
    *(f'  {line}' for line in collective_lines(cost.collectives)),
  ]


def collective_lines(found: Sequence[Collective]) -> list[str]:
  """Return a line for each kind of collective and number of devices: how many, how large."""
  groups = collections.defaultdict(list)
  for one in found:
    groups[one.kind, one.devices, one.is_async, one.between_slices].append(one.size)
  return [
    f'{kind:<13} {len(sizes)} between {number:,} {"slices" if slices else "devices"}, '
    f'{sum(sizes) / 1e6:,.2f} MB together' + ', beside computing' * is_async
    for (kind, number, is_async, slices), sizes in sorted(groups.items())
  ] or ['no collectives']


def modelled_lines(estimate: model.Estimate, slices: Slices, memory: int) -> list[str]:
  """Return what follows for slices from published rates."""
  share = memory / slices.chip.memory
  return [
    f"Modelled, not measured ({model.ARITHMETIC:.0%} of the peak, {model.TRAFFIC:.0%} of the memory's "
    f'rate, {model.HOP_SECONDS * 1e6:g} us a hop; posejax/plan/model.py):',
    f"  memory        {share:.0%} of a chip's {slices.chip.memory / 1e9:g} GB"
    + ': DOES NOT FIT' * (share > 1),
    f'  arithmetic    {estimate.arithmetic * 1e3:.2f} ms',
    f'  traffic       {estimate.traffic * 1e3:.2f} ms',
    f'  exchange      {estimate.exchange * 1e3:.2f} ms',
    f'  step          {estimate.step * 1e3:.2f} ms, efficiency {estimate.efficiency:.2f}',
    f'  input         {estimate.images_per_host:,.0f} images/s on each of {slices.num_hosts:,} hosts: '
    f"{estimate.cores_per_host} cores of COCO's pictures",
  ]


def measured_lines(
  many: float, one: float, num_devices: int, rates: Rates, cost: model.Cost
) -> list[str]:
  """Return a step's times as they were measured on this machine, and as its rates have them.

  Args:
    many: seconds on all devices.
    one: seconds of the same batch on one.
    num_devices: that share the machine.
    rates: of the machine.
    cost: of one of the devices.
  """
  arithmetic = num_devices * cost.flops / (model.ARITHMETIC * rates.flops)
  traffic = num_devices * cost.traffic / (model.TRAFFIC * rates.traffic)
  return [
    f"Modelled from this machine's rates ({rates.flops / 1e9:,.0f} GFLOP/s, "
    f'{rates.traffic / 1e9:.1f} GB/s):',
    f'  step          {max(arithmetic, traffic) * 1e3:,.0f} ms',
    'Measured here:',
    f'  step          {many * 1e3:,.0f} ms on {num_devices} devices, {one * 1e3:,.0f} ms of the same '
    f'batch on one ({many / one - 1:+.1%})',
  ]
