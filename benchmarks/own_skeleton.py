"""Fifty pictures and a skeleton of one's own: data for `docs/finetune.md`, "Four points of one's own".

    python benchmarks/own_skeleton.py --out=DIR [--train=50] [--eval=200]

Drawn people, of whom only four points are labelled, under names that no published net knows: two hands
and two feet. They are anywhere, so that the median of the training set finds few of them. DIR gets
train.json, eval.json, a skeleton beside each, and the pictures; then

    python main.py --config=configs/pose_movenet.py:finetune --workdir=RUN --config.num_steps=300 \
      --config.data.annotations=DIR/train.json --config.data.images=DIR/images \
      --config.data.eval.annotations=DIR/eval.json --config.data.skeleton=DIR/train-skeleton.json
"""

import argparse
import os

import cv2

from posejax.data.formats import coco_write
from posejax.data.synthetic.people import SyntheticPeople
from posejax.skeletons import COCO, Skeleton

ENDS = {
  'left_hand': 'left_wrist',
  'right_hand': 'right_wrist',
  'left_foot': 'left_ankle',
  'right_foot': 'right_ankle',
}
FIGURE = Skeleton(
  'ends',
  tuple(ENDS),
  flip_pairs=(('left_hand', 'right_hand'), ('left_foot', 'right_foot')),
  limbs=(('left_hand', 'right_hand'), ('left_foot', 'right_foot')),
  sigmas=tuple(COCO.sigmas[COCO.index(name)] for name in ENDS.values()),
)


def write(folder: str, split: str, number: int) -> None:
  """Write the first pictures of a split with their annotations."""
  people = SyntheticPeople(split, num_examples=number)
  which = [COCO.index(name) for name in ENDS.values()]
  images, annotations = [], []
  for i in range(number):
    picture = people[i]
    name = f'{split}-{i:03d}.png'
    cv2.imwrite(os.path.join(folder, 'images', name), picture['image'][..., ::-1])
    h, w = picture['image'].shape[:2]
    images.append({'id': i, 'file_name': name, 'height': h, 'width': w})
    for one in coco_write.everybody(picture):
      points = {key: one[key][which] for key in ('keypoints', 'visibility')}
      annotations.append(coco_write.annotation(len(annotations), i, {**one, **points}))
  info = {'description': 'drawn people, the ends of their limbs'}
  path = os.path.join(folder, f'{split}.json')
  coco_write.write(path, [coco_write.category(FIGURE)], FIGURE, images, annotations, info)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--out', required=True, metavar='DIR')
  parser.add_argument('--train', type=int, default=50)
  parser.add_argument('--eval', type=int, default=200)
  args = parser.parse_args()
  os.makedirs(os.path.join(args.out, 'images'), exist_ok=True)
  for split in ('train', 'eval'):
    write(args.out, split, getattr(args, split))
  print(f'Written to {args.out}.')


if __name__ == '__main__':
  main()
