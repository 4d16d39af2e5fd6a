"""Overfit a detector to a few real pictures: assignment, losses and decoding must agree for that.

    python benchmarks/overfit_detector.py --coco=DIR --workdir=runs/overfit
    python benchmarks/overfit_detector.py --coco=DIR --workdir=runs/overfit_rcnn --net=keypoint_rcnn
    python benchmarks/overfit_detector.py --coco=DIR --workdir=runs/overfit --config.num_steps=2000

DIR holds train2017/ and annotations/person_keypoints_train2017.json. The first 20 of its pictures on
which somebody has labelled keypoints are learnt from, half of them in every step and never varied, and
measured on. First of all the truth itself goes through the codec, in place of what a net says: no box can
be learnt beyond that. (Keypoints can: a net's heatmaps are smooth, and read between their cells.) Any key
of the config can be set as for main.py; a run that was broken off goes on. What came out: docs/detect.md.
"""

import argparse
import dataclasses
import json
import os

import jax
import jax.numpy as jnp
import numpy as np

from posejax import experiment
from posejax.codecs import rcnn_keypoints, rtmdet, rtmdet_targets
from posejax.commands import config_flags
from posejax.data.batches import EvalBatches
from posejax.errors import PosejaxError
from posejax.process import startup
from posejax.train.loop import train

FILE = 'person_keypoints_train2017.json'
SURE = 8.0
"""Logit of what is there, and with the other sign of what is not."""
SIDE = 56
"""Of Keypoint R-CNN's heatmaps."""


def rtmdet_ceiling(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
  """Return what is read off a net whose cells give the smallest box that they lie in, where assigned."""
  size = batch['images'].shape[1:3]
  points = rtmdet.points(size)

  def of_picture(boxes, labels, mask):
    low, high = points[:, None, :2] - boxes[:, :2], boxes[:, 2:] - points[:, None, :2]
    inside = (jnp.minimum(low, high) > 0).all(-1) & mask
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    own = jnp.where(inside, areas, jnp.inf).argmin(1)
    logits = jnp.where(inside.any(1), SURE, -SURE)[:, None]
    number, _ = rtmdet_targets.assign(boxes[own], logits, points, boxes, labels, mask)
    logits = jnp.where(number >= 0, SURE, -jnp.inf)[:, None]
    return boxes[number], logits

  boxes, logits = jax.vmap(of_picture)(batch['boxes'], batch['labels'], batch['box_mask'])
  return rtmdet.select(boxes, logits, size, max_detections=100)


def rcnn_ceiling(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
  """Return the true boxes, and keypoints read off heatmaps that hold the cells they lie in."""
  boxes, there = batch['boxes'], batch['box_mask']
  keypoints = batch['keypoints'] + 0.5
  cells, valid = rcnn_keypoints.encode(keypoints, batch['visibility'], boxes, SIDE)
  heatmaps = jnp.where(valid[..., None, :], jax.nn.one_hot(cells, SIDE**2, axis=-2), 0) * SURE
  heatmaps = heatmaps.reshape(*cells.shape[:2], SIDE, SIDE, -1)
  points, logits = rcnn_keypoints.decode(heatmaps, boxes, there)
  return {
    'boxes': boxes,
    'scores': there.astype(np.float32),
    'labels': batch['labels'],
    'keypoints_crop': points - 0.5,
    'keypoint_scores': jax.nn.sigmoid(logits),
  }


@dataclasses.dataclass(frozen=True)
class Net:
  """A detector to be overfitted: its config, keys of it that differ, and its ceiling."""

  config: str
  settings: tuple[str, ...]
  ceiling: object


_SHARED = (
  'optimizer.weight_decay=0.0',
  'optimizer.final_fraction=0.0',
  'optimizer.warmup_steps=50',
  'log_every_steps=25',
  'eval_every_steps=200',
  'checkpoint_every_steps=100',
)
NETS = {
  'rtmdet': Net(
    'configs/detect_rtmdet.py:person',
    ('task.crop_size=(320, 320)', 'num_steps=800'),
    rtmdet_ceiling,
  ),
  'keypoint_rcnn': Net(
    'configs/detect_keypoint_rcnn.py',
    ('task.crop_size=(256, 320)', 'num_steps=800'),
    rcnn_ceiling,
  ),
}


def write_pictures(coco: str, number: int, path: str) -> dict[str, list]:
  """Write the annotations of the first pictures with labelled keypoints; return them."""
  with open(os.path.join(coco, 'annotations', FILE), encoding='utf-8') as file:
    dataset = json.load(file)
  labelled = {one['image_id'] for one in dataset['annotations'] if one['num_keypoints']}
  images = [one for one in dataset['images'] if one['id'] in labelled][:number]
  ids = {one['id'] for one in images}
  annotations = [one for one in dataset['annotations'] if one['image_id'] in ids]
  few = {**dataset, 'images': images, 'annotations': annotations}
  with open(path, 'w', encoding='utf-8') as file:
    json.dump(few, file)
  return few


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--coco', required=True, metavar='DIR')
  parser.add_argument('--workdir', required=True, metavar='DIR')
  parser.add_argument('--net', default='rtmdet', choices=NETS)
  parser.add_argument('--pictures', type=int, default=20)
  parser.add_argument('--ceiling', action='store_true', help='say what can be learnt, and stop')
  flags, rest = parser.parse_known_args()
  net = NETS[flags.net]
  os.makedirs(flags.workdir, exist_ok=True)
  path = os.path.join(flags.workdir, 'pictures.json')
  few = write_pictures(flags.coco, flags.pictures, path)
  people = [one for one in few['annotations'] if not one['iscrowd']]
  print(
    f'{len(few["images"])} pictures, {len(people)} people, '
    f'{sum(one["num_keypoints"] > 0 for one in people)} of them with labelled keypoints'
  )
  own = [
    f'data.annotations={path}',
    f'data.images={os.path.join(flags.coco, "train2017")}',
    f'data.eval.annotations={path}',
    f'batch_size={flags.pictures // 2}',
    f'evaluate.batch_size={flags.pictures}',
  ]
  settings = [f'--config.{one}' for one in (*own, *_SHARED, *net.settings)]
  startup.begin(startup.DEFAULT_CACHE)
  try:
    config = config_flags.read([f'--config={net.config}', *settings, *rest])
    unvaried = dataclasses.replace(config.data, augment={'name': 'none'}, cache=True)
    config = dataclasses.replace(config, data=unvaried)
    found = experiment.from_config(config)
    source, evaluator = found.main
    batch = EvalBatches(source, found.task.transform_eval, flags.pictures, 0, 1)(0)
    best = jax.tree.map(np.asarray, net.ceiling(batch))
    report('The truth through the codec', evaluator.summarize({}, evaluator.records(best, batch)))
    if not flags.ceiling:
      report('Learnt', train(config, flags.workdir))
  except PosejaxError as error:
    raise SystemExit(f'Error: {error}') from None


def report(what: str, figures: dict[str, float]):
  names = ('AP/box', 'AP50/box', 'AP/keypoints', 'AP50/keypoints')
  print(f'{what}: ' + ', '.join(f'{n} {figures[n]:.3f}' for n in names if n in figures), flush=True)


if __name__ == '__main__':
  main()
