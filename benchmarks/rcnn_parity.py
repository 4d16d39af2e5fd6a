"""posejax's two-stage detectors against torchvision's on photographs, stage by stage.

    python -m tests.goldens.make_rcnn --kind=keypoint --pictures='val2017/*.jpg' --out=RECORDS
    python benchmarks/rcnn_parity.py --kind=keypoint RECORDS

The first runs torchvision with seeded weights and needs PyTorch (its own environment will do). A
detection is found again where class, box within 0.05 pixels of the resized picture and score within 1e-4
agree; a keypoint within 0.1 pixels.
"""

import argparse
import glob
import os
import time

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from posejax import models
from posejax.codecs import rcnn_keypoints
from posejax.config import InputsConfig
from posejax.models.rcnn import pictures
from posejax.weights import convert

NETS = {'faster': 'faster_rcnn_resnet50_fpn', 'keypoint': 'keypoint_rcnn_resnet50_fpn'}
BOX, SCORE, KEYPOINT = 0.05, 1e-4, 0.1


def network_input(picture, inputs):
  """Return the normalised canvas and the size of what fills it."""
  mean, std = (np.array(values, np.float32) for values in (inputs.mean, inputs.std))
  size = pictures.resized_hw(*picture.shape[:2])
  canvas = (pictures.lay_out(picture, size, 255 * mean) / np.float32(255) - mean) / std
  canvas[size[0] :] = 0
  canvas[:, size[1] :] = 0
  return canvas, size


def matches(boxes, scores, labels, record, boxes_resized):
  """Return bool `[D, D']`: which of our detections are which of torchvision's."""
  near = np.abs(boxes[:, None] - boxes_resized).max(-1) < BOX
  near &= np.abs(scores[:, None] - record['scores']) < SCORE
  return near & (labels[:, None] + 1 == record['labels'])


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kind', choices=sorted(NETS), required=True)
  parser.add_argument('records')
  flags = parser.parse_args()
  model = models.create(NETS[flags.kind], norm_epsilon=0.0)
  converted = convert.from_file(os.path.join(flags.records, 'weights.pth'), model)
  print(converted.summary())

  @jax.jit
  def run(variables, images, sizes):
    outputs = model.apply(variables, images, image_sizes=sizes)
    outputs |= {
      f'feature {stride}': x
      for stride, x in model.apply(variables, images, method='features').items()
    }
    if 'heatmaps' in outputs:
      outputs['keypoints'], outputs['keypoint_scores'] = rcnn_keypoints.decode(
        outputs['heatmaps'], outputs['boxes'], outputs['scores'] > 0
      )
    return outputs

  counts = {'detections': [0, 0], 'keypoints': [0, 0], 'proposals': [0, 0]}

  def count(name, found):
    counts[name][0] += int(np.sum(found))
    counts[name][1] += int(np.size(found))

  for path in sorted(glob.glob(os.path.join(flags.records, '*.npz'))):
    record = np.load(path)
    picture = np.asarray(Image.open(str(record['path'])).convert('RGB'))
    canvas, size = network_input(picture, InputsConfig())
    assert size == tuple(record['size'])
    began = time.perf_counter()
    outputs = run(converted.variables, canvas[None], jnp.array([size]))
    outputs = {name: np.asarray(value[0]) for name, value in outputs.items()}
    errors = {'input': np.abs(canvas - record['input']).max()}
    for name in sorted(set(outputs) & set(record)):
      if name.startswith('feature'):
        errors[name] = np.abs(outputs[name] - record[name]).max() / np.abs(record[name]).max()
    proposals = outputs['proposals'][outputs['proposal_scores'] > -np.inf]
    near = np.abs(proposals[:, None] - record['proposals']).max(-1).min(0) < BOX
    count('proposals', near)
    there = outputs['scores'] > 0
    boxes, scores, labels = (outputs[name][there] for name in ('boxes', 'scores', 'labels'))
    # As torchvision, by the ratios of the sizes in float32.
    ratio = np.float32(size[::-1]) / np.float32(picture.shape[1::-1])
    expected = record['boxes_image'] * np.tile(ratio, 2)
    same = matches(boxes, scores, labels, record, expected)
    found = same.any(0)
    count('detections', found)
    print(f'{record["path"]} {canvas.shape[:2]}, {time.perf_counter() - began:.1f} s:')
    print('  ' + ', '.join(f'{name} {error:.2g}' for name, error in errors.items()))
    print(f'  proposals {near.sum()} of {len(near)}, detections {found.sum()} of {len(found)}')
    for i in np.flatnonzero(~found):
      distance = np.abs(boxes - expected[i]).max(-1)
      nearest = distance.argmin()
      print(
        f'    missing: {expected[i]}, {record["scores"][i]:.5f}, {record["labels"][i]}; '
        f'the nearest is off by {distance[nearest]:.3g} pixels, {scores[nearest]:.5f}'
      )
    if 'keypoints' in outputs:
      ours, theirs = same[:, found].argmax(0), np.flatnonzero(found)
      keypoints = record['keypoints_image'][theirs] * ratio
      off = np.abs(outputs['keypoints'][there][ours] - keypoints).max(-1)
      values = outputs['keypoint_scores'][there][ours] - record['keypoint_scores'][theirs]
      count('keypoints', off < KEYPOINT)
      print(
        f'  keypoints {np.sum(off < KEYPOINT)} of {off.size}, logits {np.abs(values).max():.2g}'
      )
  for name, (found, number) in counts.items():
    print(f'{name}: {found} of {number}, {100 * found / max(number, 1):.3f} %')


if __name__ == '__main__':
  main()
