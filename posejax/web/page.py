"""The page: its files, and what it has to know of the net."""

from collections.abc import Mapping
import functools
import importlib.resources
import json
import mimetypes
import os
import shutil
from typing import Any

from posejax import draw
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace

# Not left to the system's table, where JavaScript may be anything.
_TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
# Of onnxruntime-web's `dist`: the module, and the WebAssembly that it loads from beside itself.
RUNTIME_FILES = ('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm')


@functools.cache
def files() -> Mapping[str, tuple[bytes, str]]:
  """Return the page's files by name: their bytes and media types."""
  folder = importlib.resources.files('posejax.web') / 'static'
  return {
    path.name: (path.read_bytes(), _media_type(path.name))
    for path in sorted(folder.iterdir(), key=lambda path: path.name)
    if path.is_file()
  }


def _media_type(name: str) -> str:
  suffix = os.path.splitext(name)[1]
  return _TYPES.get(suffix) or mimetypes.types_map.get(suffix, 'application/octet-stream')


def describe(labels: LabelSpace, name: str, threshold: float) -> dict[str, Any]:
  """Return what the page must know of a net: names, limbs, sides, colours and threshold."""
  skeleton = labels.skeleton
  return {
    'name': name,
    'class_names': list(labels.class_names),
    'keypoints': list(labels.keypoints),
    'limbs': [list(limb) for limb in skeleton.limb_indices] if skeleton else [],
    'sides': [skeleton.side(k) for k in range(skeleton.num_keypoints)] if skeleton else [],
    'colors': {side: list(color) for side, color in draw.SIDE_COLORS.items()},
    'threshold': threshold,
  }


def write_static(
  folder: str,
  *,
  labels: LabelSpace,
  name: str,
  threshold: float,
  onnx_file: str,
  input_hw: tuple[int, int],
  box_padding: float,
  convention: str,
  rescoring: str,
  runtime: str,
) -> None:
  """Write a folder that shows the page from any static host and runs the net in the visitor's browser.

  Args:
    folder: to write, made where it is not there.
    labels: the names behind the net's numbers.
    name: how the net is called on the page.
    threshold: the confidence from which on a keypoint counts as visible.
    onnx_file: the graph: `images` uint8 `[B, H, W, 3]` to `keypoints` float32 `[B, K, 2]` in crop pixels
      and `scores` float32 `[B, K]`.
    input_hw: (H, W) of the crop.
    box_padding: how many times a box, brought to the crop's aspect, the crop shows.
    convention: where the crop lies to the pixel, of `posejax.geometry.affine.CONVENTIONS`.
    rescoring: how keypoints make a person's score, of `posejax.metrics.oks.RESCORINGS`.
    runtime: the folder `dist` of onnxruntime-web, as npm installs it.

  Raises:
    PosejaxError: the labels have no keypoints, or the runtime's files are not there.
  """
  if labels.skeleton is None:
    raise PosejaxError(
      f'The page without a server draws keypoints, and the net {name!r} finds none; use `serve`.'
    )
  for file in RUNTIME_FILES:
    if not os.path.isfile(os.path.join(runtime, file)):
      raise PosejaxError(
        f'{runtime} has no {file}; name the folder node_modules/onnxruntime-web/dist that '
        '`npm install onnxruntime-web` made.'
      )
  os.makedirs(os.path.join(folder, 'ort'), exist_ok=True)
  for file in RUNTIME_FILES:
    shutil.copyfile(os.path.join(runtime, file), os.path.join(folder, 'ort', file))
  shutil.copyfile(onnx_file, os.path.join(folder, 'model.onnx'))
  for file, (data, _) in files().items():
    with open(os.path.join(folder, file), 'wb') as stream:
      stream.write(data)
  config = {
    'mode': 'onnx',
    'kind': 'keypoints',
    'model': 'model.onnx',
    'view': {'input': list(input_hw), 'padding': box_padding, 'convention': convention},
    'rescoring': rescoring,
    'info': describe(labels, name, threshold),
  }
  with open(os.path.join(folder, 'config.json'), 'w', encoding='utf-8') as stream:
    json.dump(config, stream, indent=2)
