"""Files like those of published weights, with seeded values, in a cache of their own."""

from collections.abc import Mapping
import hashlib
import json
import pathlib

import jax
import numpy as np

from posejax import paths
from posejax.models import movenet
from posejax.weights import published as pins
from posejax.weights.families import movenet as family
from tests.goldens import seeded_movenet


def movenet_shapes(variant: str) -> dict[str, list[int]]:
  """Return the names and shapes of a MoveNet's weights as its graph has them."""
  model = movenet.posejax_movenet(variant)
  images = jax.ShapeDtypeStruct((1, 32, 32, 3), 'float32')
  params = jax.eval_shape(model.init, jax.random.key(0), images)['params']
  shapes = {path: list(leaf.shape) for path, leaf in paths.flatten(params).items()}
  names = family.peer_names(movenet.VARIANTS[variant].boxes)
  return {
    name: shapes[path] if shapes[path][2:3] != [1] else [*shapes[path][:2], shapes[path][3], 1]
    for path, name in names.items()
  }


def write(folder: pathlib.Path, tensors: Mapping[str, np.ndarray], stem: str) -> pins.Published:
  """Write a graph's file; return what pins it."""
  weights = [{'name': n, 'shape': list(t.shape), 'dtype': str(t.dtype)} for n, t in tensors.items()]
  manifest = {'weightsManifest': [{'paths': [f'{stem}.bin'], 'weights': weights}]}
  content = {
    f'{stem}.json': json.dumps(manifest).encode(),
    f'{stem}.bin': b''.join(t.tobytes() for t in tensors.values()),
  }
  for name, data in content.items():
    (folder / name).write_bytes(data)
  files = tuple(
    pins.File(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()
  )
  return pins.Published(files, 'seeded', 'noise', 'none', 'none', 'nobody')


def few_blocks(patch) -> None:
  """Make MobileNetV2 one block a stage, which compiles in a third of the time."""
  from posejax.models.backbones import mobilenet_v2

  stages = tuple((channels, 1, stride) for channels, _, stride in mobilenet_v2.STAGES)
  patch.setattr(mobilenet_v2, 'STAGES', stages)
  patch.setattr(mobilenet_v2, 'TAPS', {1: 4, 2: 8, 4: 16})


def _make_people(tensors: dict[str, np.ndarray]) -> None:
  """Scale the heads' noise so that people differ, with keypoints near them and in large boxes."""
  names = family.peer_names(boxes=True)
  for path, name in names.items():
    if '/final/' in path and '/box_scale/' not in path:
      tensors[name] *= np.float32(0.1)
  tensors[names['head/box_scale/final/bias']] += 40


def use(patch, folder: pathlib.Path, *variants: str) -> None:
  """Make `folder` the cache, with seeded MoveNets in it."""
  patch.setenv('POSEJAX_CACHE', str(folder))
  for variant in variants:
    tensors = seeded_movenet.weights(movenet_shapes(variant))
    if movenet.VARIANTS[variant].boxes:
      _make_people(tensors)
    net = write(folder, tensors, f'movenet-{variant}')
    patch.setitem(pins.PUBLISHED, f'movenet_{variant}', net)
