"""Which net a command uses, and what computes it: options of predict, serve and export."""

import argparse

RUNS = 'runs'
# As posejax.runs.published_nets has them, which is slow to import.
SHIPPED = 'posejax_compact'
MODELS = (SHIPPED, 'movenet_lightning', 'movenet_thunder', 'movenet_multipose')


def add_net(command: argparse.ArgumentParser) -> None:
  """Add which net to a command's parser."""
  command.add_argument(
    '--workdir',
    metavar='RUN',
    help=f'of the trained run, or a file that `posejax export --format=safetensors` wrote; the newest in '
    f'{RUNS}/ where not given',
  )
  command.add_argument(
    '--model',
    choices=MODELS,
    help=f'a published net instead of a run: {SHIPPED} comes with posejax and is taken where there is no '
    'run; `posejax weights get` gets the others',
  )
  command.add_argument('--checkpoint', help="of the run: 'best' (the default), 'latest' or a step")


def add_run(command: argparse.ArgumentParser) -> None:
  """Add which net, and what counts as seen."""
  add_net(command)
  command.add_argument(
    '--threshold',
    type=float,
    help="score from which on a keypoint is shown (0.2; 0.3 with MoveNet), or a detector's box (0.3)",
  )


def add(command: argparse.ArgumentParser) -> None:
  """Add all options of a net in use to a command's parser."""
  add_run(command)
  add_runtime(command)


def add_runtime(command: argparse.ArgumentParser) -> None:
  """Add what computes the net, and who finds people for it."""
  command.add_argument(
    '--runtime',
    default='xla',
    choices=('xla', 'onnx', 'openvino', 'litert', 'auto'),
    help='what computes the net; auto takes the fastest of those installed (xla)',
  )
  command.add_argument(
    '--precision',
    default='float32',
    choices=('float32', 'bfloat16'),
    help='of OpenVINO; bfloat16 is faster and rounds (float32)',
  )
  command.add_argument(
    '--detector',
    metavar='RUN',
    help="finds people where no boxes are given: a detector's run, or nanodet; else the whole picture is "
    'one person, but to movenet_multipose, which finds everybody by itself',
  )


def workdir(arguments: argparse.Namespace) -> str | None:
  """Return the run that was named, or the newest, or None where there is none."""
  from posejax.runs import workdirs

  return arguments.workdir or workdirs.newest(RUNS)


def threshold(arguments: argparse.Namespace) -> float | None:
  """Return the score that was given; None where none was, or the command has none.

  Raises:
    PosejaxError: it is not from 0 to 1.
  """
  from posejax.errors import PosejaxError

  score = getattr(arguments, 'threshold', None)
  if score is not None and not 0 <= score <= 1:
    raise PosejaxError(f'--threshold={score} must be from 0 to 1.')
  return score


def predictor(arguments: argparse.Namespace):
  """Return the `Predictor` that the options name, ready to run, and say what it is."""
  from posejax.errors import PosejaxError
  from posejax.infer import detectors
  from posejax.infer.predictor import Predictor
  from posejax.process import startup
  from posejax.runs import net_file, nets

  options = {
    'runtime': getattr(arguments, 'runtime', 'xla'),
    'precision': getattr(arguments, 'precision', 'float32'),
  }
  if (score := threshold(arguments)) is not None:
    options['threshold'] = score
  if arguments.model and (arguments.workdir or arguments.checkpoint):
    raise PosejaxError(
      f'--model={arguments.model} is a published net, and --workdir and --checkpoint are of a run; '
      'give either.'
    )
  run = None if arguments.model else workdir(arguments)
  if arguments.checkpoint and (run is None or net_file.is_one(run)):
    where = f'{run} is one net' if run else f'there is none in {RUNS}/'
    raise PosejaxError(
      f"--checkpoint={arguments.checkpoint} is a run's, and {where}; name a --workdir."
    )
  startup.begin(startup.DEFAULT_CACHE)
  detector = getattr(arguments, 'detector', None)
  if detector:
    options['detector'] = detectors.create(detector)
  name = run or arguments.model or SHIPPED
  net = nets.read(name, arguments.checkpoint or 'best')
  if getattr(arguments, 'flip', False):
    net = net.changed('task', flip=True)
  loaded = Predictor.of(net, **options)
  print(f'{name}: {loaded.name}; {loaded.runtime}', flush=True)
  return loaded
