"""Which net a command uses, and what computes it: options of predict, serve and export."""

import argparse
import os

RUNS = 'runs'
# As posejax.infer.published has them, which is slow to import.
MODELS = ('movenet_lightning', 'movenet_thunder', 'movenet_multipose')
DETECTORS = ('nanodet',)


def add_run(command: argparse.ArgumentParser) -> None:
  """Add which run, and what counts as seen, to a command's parser."""
  command.add_argument(
    '--workdir', metavar='RUN', help=f'of the trained run; the newest in {RUNS}/ where not given'
  )
  command.add_argument(
    '--model',
    choices=MODELS,
    help='a published net instead of a run; `posejax weights get` gets it',
  )
  command.add_argument('--checkpoint', help="of the run: 'best' (the default), 'latest' or a step")
  command.add_argument(
    '--threshold',
    type=float,
    help='score from which on a keypoint is shown (0.2; 0.3 with --model)',
  )


def add(command: argparse.ArgumentParser) -> None:
  """Add all options of a net in use to a command's parser."""
  add_run(command)
  command.add_argument(
    '--runtime',
    default='xla',
    choices=('xla', 'onnx', 'openvino', 'auto'),
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
    choices=DETECTORS,
    help='finds people where no boxes are given; else the whole picture is one person, but to '
    'movenet_multipose, which finds everybody by itself',
  )


def workdir(arguments: argparse.Namespace) -> str:
  """Return the run that was named, or the newest.

  Raises:
    PosejaxError: none was named, and there is none.
  """
  from posejax.errors import PosejaxError
  from posejax.runs import workdirs

  if arguments.workdir:
    return arguments.workdir
  newest = workdirs.newest(RUNS)
  if newest is None:
    raise PosejaxError(
      f'There is no run in {os.path.abspath(RUNS)}. Train one, '
      'python main.py --config=configs/pose_densenet.py, or name one, --workdir=RUN.'
    )
  return newest


def predictor(arguments: argparse.Namespace):
  """Return the `Predictor` that the options name, ready to run, and say what it is."""
  from posejax import startup
  from posejax.errors import PosejaxError
  from posejax.infer import published
  from posejax.infer.predictor import Predictor

  options = {
    'runtime': getattr(arguments, 'runtime', 'xla'),
    'precision': getattr(arguments, 'precision', 'float32'),
  }
  if arguments.threshold is not None:
    if not 0 <= arguments.threshold <= 1:
      raise PosejaxError(f'--threshold={arguments.threshold} must be from 0 to 1.')
    options['threshold'] = arguments.threshold
  if arguments.model and (arguments.workdir or arguments.checkpoint):
    raise PosejaxError(
      f'--model={arguments.model} is a published net, and --workdir and --checkpoint are of a run; '
      'give either.'
    )
  run = arguments.model or workdir(arguments)
  startup.begin(startup.DEFAULT_CACHE)
  detector = getattr(arguments, 'detector', None)
  if detector:
    options['detector'] = published.DETECTORS[detector]()
  if arguments.model:
    loaded = published.predictor(arguments.model, **options)
  else:
    loaded = Predictor.load(run, arguments.checkpoint or 'best', **options)
  print(f'{run}: {loaded.name}; {loaded.runtime}', flush=True)
  return loaded
