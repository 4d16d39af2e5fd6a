"""What the published nets find on Leeds Sports Pose Extended, at the boxes of its labels.

    posejax weights get movenet_lightning
    posejax weights get movenet_thunder
    python benchmarks/published.py --manual_dir=DIR [--padding=1.25] [--flip] [--pictures=600]

The last tenth of the data set's pictures, as `posejax data prepare lspet` splits it, and the 12 keypoints
that its skeleton shares with COCO's. DIR holds joints.mat and images/. One row a net: PCK@0.20 by torso
and by box, and the median milliseconds of a whole call on a picture (crop, net, decoding).
"""

import argparse
import os
import statistics
import time

import cv2
import numpy as np


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--manual_dir', required=True)
  parser.add_argument('--padding', type=float)
  parser.add_argument('--flip', action='store_true')
  parser.add_argument('--pictures', type=int, default=600)
  parser.add_argument('--runtime', default='xla')
  args = parser.parse_args()

  from posejax import skeletons, startup
  from posejax.data.builders import matlab
  from posejax.geometry import boxes as box_geometry
  from posejax.infer import published
  from posejax.metrics import pck

  startup.begin(startup.DEFAULT_CACHE)
  if args.padding:
    published.BOX_PADDING = args.padding
  joints = matlab.load(os.path.join(args.manual_dir, 'joints.mat'), 'joints').transpose(2, 0, 1)
  lsp, coco = skeletons.LSP, skeletons.COCO
  shared = [(i, coco.index(n)) for i, n in enumerate(lsp.keypoints) if n in coco.keypoints]
  here, there = (list(column) for column in zip(*shared, strict=True))
  first = len(joints) - len(joints) // 10
  people = []
  for number in range(first, len(joints))[: args.pictures]:
    path = os.path.join(args.manual_dir, 'images', f'im{number + 1:05d}.jpg')
    image = cv2.imread(path)[..., ::-1].copy()
    h, w = image.shape[:2]
    points, visible = joints[number, :, :2].astype(np.float32), joints[number, :, 2] > 0
    visible &= ((points >= 0) & (points <= (w - 1, h - 1))).all(-1)
    box = box_geometry.box_from_keypoints(points, visible)
    if box is None or not (box[2:] - box[:2]).max() > 0:
      continue
    counted = np.zeros(len(visible), int)
    counted[here] = visible[here]
    people.append((image, points, counted, box))

  print(f'{len(people)} people')
  for name in published.MODELS:
    net = published.predictor(name, flip=args.flip, runtime=args.runtime)
    found, taken = [], []
    for image, points, _, box in people:
      began = time.perf_counter()
      (instance,) = net(image, box[None]).instances
      taken.append(time.perf_counter() - began)
      predicted = np.zeros_like(points)
      predicted[here] = instance.keypoints[there]
      found.append(predicted)
    points, visibility, boxes = (np.stack([one[i] for one in people]) for i in (1, 2, 3))
    sums = pck.pck_sums(np.stack(found), points, visibility, boxes, np.ones(len(found)), lsp)
    figures = pck.summarize_pck(sums, lsp)
    ms = 1000 * statistics.median(taken)
    print(
      f'{name}: torso {figures["PCK@0.20/torso"]:.3f}, box {figures["PCK@0.20/box"]:.3f}, {ms:.1f} ms',
      flush=True,
    )


if __name__ == '__main__':
  main()
