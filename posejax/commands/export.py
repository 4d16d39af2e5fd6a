"""`posejax export`: a trained net as a file for other programs, or as a page for any static host."""

import argparse
from collections.abc import Sequence
import os
import sys

from posejax.commands import net_options

_FORMATS = ('onnx', 'tflite', 'stablehlo', 'web', 'safetensors')
_PLAIN = ('onnx', 'tflite', 'stablehlo')
_QUANTIZED = {'int8': ('onnx', 'web'), 'float16': ('tflite',)}


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'write a trained net for other programs: crops in, keypoints and scores out'
  command = commands.add_parser('export', help=text, description=text.capitalize() + '.')
  net_options.add_run(command)
  command.add_argument(
    '--format',
    required=True,
    choices=_FORMATS,
    help='onnx; tflite for phones, one crop at a time; stablehlo for JAX on cpu, cuda and tpu; web, a '
    'folder that any static host serves; safetensors, one small file to predict with or to start a run '
    'from, by posejax',
  )
  command.add_argument('--out', required=True, metavar='FILE', help='file, or folder of the page')
  command.add_argument(
    '--in_image',
    action='store_true',
    help="take the crops' affines too and give keypoints in pixels of the pictures",
  )
  command.add_argument(
    '--quantize',
    choices=tuple(_QUANTIZED),
    help='int8 for onnx and web, calibrated on --calibration: says how many keypoints move; float16 for '
    'tflite: weights in half the space',
  )
  command.add_argument(
    '--calibration',
    nargs='+',
    default=[],
    metavar='INPUT',
    help='pictures like those to come, for --quantize=int8: a hundred or more',
  )
  command.add_argument(
    '--boxes', metavar='FILE.json', help="people's boxes on the pictures of --calibration"
  )
  command.add_argument(
    '--labels',
    metavar='FILE.json',
    help='COCO-format keypoints on the one folder of --calibration: says what PCK becomes too',
  )
  command.add_argument(
    '--ort',
    default=os.path.join('node_modules', 'onnxruntime-web', 'dist'),
    metavar='DIR',
    help='of web: where `npm install onnxruntime-web` put it (node_modules/onnxruntime-web/dist)',
  )
  command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  del rest  # the run has its config
  from posejax.errors import PosejaxError

  if arguments.quantize and arguments.format not in _QUANTIZED[arguments.quantize]:
    formats = ' and '.join(_QUANTIZED[arguments.quantize])
    raise PosejaxError(
      f'--quantize={arguments.quantize} goes with --format={formats}, not with {arguments.format}.'
    )
  if (arguments.quantize == 'int8') != bool(arguments.calibration):
    raise PosejaxError('--quantize=int8 and --calibration=PICTURES need each other.')
  if arguments.labels and (arguments.boxes or len(arguments.calibration) != 1):
    raise PosejaxError(
      '--labels=FILE.json brings the boxes too, and goes with one folder as --calibration.'
    )
  if arguments.boxes and not arguments.calibration:
    raise PosejaxError('--boxes=FILE.json are of the pictures of --calibration; leave it out.')
  if arguments.threshold is not None and arguments.format in _PLAIN:
    raise PosejaxError(
      f'--threshold is kept by --format=web and safetensors; {arguments.format} gives every score.'
    )
  if arguments.in_image and (arguments.quantize == 'int8' or arguments.format not in _PLAIN):
    raise PosejaxError(f'--in_image goes with plain {_names(_PLAIN)} files.')
  if arguments.format == 'safetensors':
    return _write_net(arguments)
  predictor = net_options.predictor(arguments)
  task = predictor.task
  if task.finds_all and task.codec is None:
    raise PosejaxError(
      f'{predictor.name} finds everything on a picture by itself, which files for other programs are not '
      'written for: use `posejax predict` or `posejax serve`.'
    )
  if task.finds_all and (arguments.quantize == 'int8' or arguments.format == 'web'):
    raise PosejaxError(
      f'{predictor.name} finds everybody at once; it goes into plain {_names(_PLAIN)} files, and '
      '`posejax serve` has a page for it.'
    )
  if arguments.format == 'web':
    _write_page(arguments, predictor)
  else:
    agreement = _write(arguments.out, arguments.format, arguments, predictor)
    print(f'{arguments.out}: {agreement}.')
  return 0


def _names(names: Sequence[str]) -> str:
  return ', '.join(names[:-1]) + f' and {names[-1]}'


def _write_net(arguments: argparse.Namespace) -> int:
  from posejax.errors import PosejaxError
  from posejax.runs import net_file, saved_run

  threshold = net_options.threshold(arguments)
  run = None if arguments.model else net_options.workdir(arguments)
  if run is None or net_file.is_one(run):
    raise PosejaxError('--format=safetensors needs a run, --workdir=RUN.')
  if not net_file.is_one(arguments.out):
    raise PosejaxError(f'--out={arguments.out} must end in {net_file.ENDING}.')
  saved = saved_run.read(run, arguments.checkpoint or 'best')
  net = saved.net()._replace(threshold=threshold)
  num_bytes = net_file.write(arguments.out, net, saved.step)
  print(
    f'{arguments.out}: step {saved.step} of {run}, {num_bytes:,} bytes. '
    f'posejax predict PICTURE --workdir={arguments.out}'
  )
  return 0


def _write(path: str, kind: str, arguments: argparse.Namespace, predictor):
  """Write the net's file of a kind; return what comparing it with the net said."""
  import dataclasses

  from posejax.infer.export import files

  pipeline = dataclasses.replace(predictor.pipeline, in_image=arguments.in_image)
  if kind == 'stablehlo':
    return files.write_stablehlo(path, pipeline)
  if kind == 'tflite':
    return files.write_tflite(path, pipeline, half=arguments.quantize == 'float16')
  if not arguments.quantize:
    return files.write_onnx(path, pipeline)
  return _write_int8(path, pipeline, arguments, predictor)


def _write_int8(path: str, pipeline, arguments: argparse.Namespace, predictor) -> str:
  """Write the net's file in 8 bits; return what that costs, in words."""
  import numpy as np

  from posejax.errors import PosejaxError
  from posejax.infer.export import files
  from posejax.infer.export.labelled import Labelled
  from posejax.infer.runtimes.onnx_runtime import OnnxRuntime

  if predictor.task.codec is None:
    raise PosejaxError(
      f'--quantize=int8 is for nets that find keypoints; {predictor.name} does not.'
    )
  labelled = None
  if arguments.labels:
    labelled = Labelled(arguments.labels, arguments.calibration[0], predictor.task)
  crops = labelled.crops if labelled else _crops(arguments, predictor)
  if len(crops) < 3:
    raise PosejaxError(f'--calibration gave {len(crops)} crops; a hundred or more are wanted.')
  # Every third is kept to see what eight bits do to pictures that the scales were not taken from.
  kept = slice(0, None, 3)
  calibration = np.delete(crops, kept, axis=0)
  cost = files.write_int8(path, pipeline, calibration, crops[kept], predictor.task.codec.cell)
  if labelled is None:
    return str(cost)
  inputs = {'images': crops[kept]}
  with open(path, 'rb') as file:
    rough = labelled.pck(OnnxRuntime(file.read())(inputs), kept)
  exact = labelled.pck(OnnxRuntime(files.onnx_bytes(pipeline))(inputs), kept)
  people = len(crops[kept])
  return f'{cost}; PCK@0.20/box of {people} people {exact:.3f} in floats, {rough:.3f} in 8 bits'


def _crops(arguments: argparse.Namespace, predictor):
  """Return what the net is shown of the pictures of --calibration: uint8 `[N, H, W, 3]`."""
  import numpy as np

  from posejax.infer import box_files
  from posejax.infer.frames import inputs

  boxes = box_files.read(arguments.boxes) if arguments.boxes else None
  crops, faults = [], []
  for source in inputs.expand(arguments.calibration):
    with inputs.open_input(source, upright=boxes is None or boxes.upright) as reader:
      for frame in reader:
        around = [None]
        if boxes is not None:
          around, _, outside = boxes.on(frame.name, frame.image.shape[:2])
          faults += outside
        crops += [predictor.task.view(frame.image, box)[0] for box in around]
      faults += reader.faults
  for fault in faults:
    print(f'Left out: {fault}', file=sys.stderr)
  return np.array(crops)


def _write_page(arguments: argparse.Namespace, predictor) -> None:
  import tempfile

  from posejax.web import page

  codec = predictor.task.codec
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'model.onnx')
    agreement = _write(path, 'onnx', arguments, predictor)
    page.write_static(
      arguments.out,
      labels=predictor.labels,
      name=predictor.name,
      threshold=predictor.threshold,
      onnx_file=path,
      input_hw=predictor.pipeline.crop_size,
      box_padding=predictor.pipeline.box_padding,
      convention=predictor.pipeline.convention,
      rescoring='' if codec is None else codec.rescoring,  # without keypoints it is refused
      runtime=arguments.ort,
    )
  print(f'{arguments.out}: {agreement}. Serve the folder: python -m http.server -d {arguments.out}')
