"""`posejax plan`: what a training step will cost on devices that are not here."""

import argparse

from posejax.errors import PosejaxError

USAGE = (
  'posejax plan --config=configs/NAME.py[:ARGUMENT] --topology=v5e:16x16 [--slices=N] [--per_chip=N] '
  '[--config.KEY=VALUE ...]'
)


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'compile a training step for TPUs or GPUs that are not here; say what it costs'
  command = commands.add_parser('plan', help=text, description=text.capitalize() + '.', usage=USAGE)
  command.add_argument(
    '--topology',
    help='chip and sides of a slice: v5e:16x16, v5p:8x8x16; GPU, nodes and GPUs of each: h100:2x8',
  )
  command.add_argument('--slices', type=int, help='slices of that topology (1)')
  command.add_argument('--per_chip', type=int, default=32, help='examples of a batch per device')
  command.add_argument(
    '--platform',
    choices=('tpu', 'cuda', 'cpu'),
    default='tpu',
    help="'cuda': NVIDIA's GPUs; 'cpu': run for real, this machine's CPU taken for --devices",
  )
  command.add_argument(
    '--cache', metavar='DIR', help="keep the step there, for a run's --compilation_cache=DIR"
  )
  command.add_argument('--devices', type=int, help="how many, with --platform='cpu' (8)")
  command.set_defaults(run=_run, takes_config=True)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  from posejax.commands import config_flags
  from posejax.process import startup

  others = {'tpu': ('devices',), 'cuda': ('devices', 'slices'), 'cpu': ('topology', 'slices')}
  for name in others[arguments.platform]:
    if (value := getattr(arguments, name)) is not None:
      raise PosejaxError(
        f'--{name}={value} does not go with --platform={arguments.platform}. TPUs have --topology and '
        '--slices, GPUs --topology=h100:2x8 (nodes and GPUs of each), this CPU has --devices.'
      )
  for name, default in (('slices', 1), ('per_chip', None), ('devices', 8)):
    if getattr(arguments, name) is None:
      setattr(arguments, name, default)
    if getattr(arguments, name) < 1:
      raise PosejaxError(f'--{name}={getattr(arguments, name)} must be at least 1.')
  config = config_flags.read(rest)
  if arguments.cache:
    startup.keep_programs(arguments.cache)
  if arguments.platform == 'cpu':
    lines = _on_cpu(config, arguments.devices, arguments.per_chip)
  elif arguments.topology is None:
    raise PosejaxError(
      'Name the slice to plan for, --topology=v5e:16x16, or run here with --platform=cpu.'
    )
  else:
    lines = _on_slices(config, arguments)
  print('\n'.join(lines))
  return 0


def _on_slices(config, arguments: argparse.Namespace) -> list[str]:
  import dataclasses

  from posejax import devices
  from posejax.plan import chips, compiled, model, report

  if arguments.platform == 'cuda':
    from posejax.plan import gpus

    name, slices = chips.parse_nodes(arguments.topology)
    found = gpus.described(name, slices.num_slices, slices.chips_per_slice)
    mesh = devices.make_mesh(found, config.mesh.state)
  else:
    chip, sides = chips.parse(arguments.topology)
    found = compiled.described(arguments.topology, arguments.slices)
    mesh = devices.make_mesh(found, config.mesh.state)
    slices = chips.Slices(chip, sides, arguments.slices, devices.num_hosts(mesh))
  config = dataclasses.replace(config, batch_size=arguments.per_chip * mesh.size)
  step = compiled.compile_step(config, mesh)
  estimate = model.estimate(step.cost, slices, config.batch_size)
  return report.compiled_lines(step, mesh.size) + report.modelled_lines(
    estimate, slices, step.memory
  )


def _on_cpu(config, num_devices: int, per_chip: int) -> list[str]:
  import dataclasses

  import jax

  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', num_devices)
  from posejax import devices
  from posejax.plan import compiled, measured, report

  config = dataclasses.replace(config, batch_size=per_chip * num_devices)
  found = jax.devices()
  many, one = devices.make_mesh(found, config.mesh.state), devices.make_mesh(found[:1])
  step = compiled.compile_step(config, many)
  # The same work: what batch norm sees on many devices, it sees on one.
  alone = compiled.compile_step(step.config, one)
  times = measured.step_seconds(step, many), measured.step_seconds(alone, one)
  return report.compiled_lines(step, num_devices) + report.measured_lines(
    *times, num_devices, measured.rates(), step.cost
  )
