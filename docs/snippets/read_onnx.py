"""Keypoints of one person by an exported net: needs onnxruntime, NumPy and OpenCV, nothing else."""

import json
import sys

import cv2
import numpy as np
import onnxruntime

model, picture = sys.argv[1:3]
session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
about = json.loads(session.get_modelmeta().custom_metadata_map['posejax'])
H, W = about['crop_size']
image = cv2.imread(picture)[..., ::-1]  # RGB
h, w = image.shape[:2]
# The whole picture is one person's box here; for one of several people, use theirs.
x1, y1, x2, y2 = 0, 0, w - 1, h - 1
region = about['box_padding'] * max((x2 - x1) / W, (y2 - y1) / H) * np.array([W, H])
size = np.array([W, H]) - (about['convention'] == 'udp')
scale = size / region
move = size / 2 - scale * [(x1 + x2) / 2, (y1 + y2) / 2]
to_crop = np.column_stack([np.diag(scale), move])
crop = cv2.warpAffine(image, to_crop, (W, H), flags=cv2.INTER_LINEAR)
keypoints, scores = session.run(['keypoints', 'scores'], {'images': crop[None]})
names = about['labels']['skeleton']['keypoints']
for name, point, score in zip(names, keypoints[0], scores[0], strict=True):
  x, y = (point - move) / scale
  print(f'{name} {x:.1f} {y:.1f} {score:.3f}')
