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
# The whole picture in the middle of the crop; for one of several people, use their box instead.
scale = min(W / w, H / h)
to_crop = np.array([[scale, 0, (W - scale * w) / 2], [0, scale, (H - scale * h) / 2]])
crop = cv2.warpAffine(image, to_crop, (W, H), flags=cv2.INTER_LINEAR)
keypoints, scores = session.run(['keypoints', 'scores'], {'images': crop[None]})
names = about['labels']['skeleton']['keypoints']
for name, point, score in zip(names, keypoints[0], scores[0], strict=True):
  x, y = (point - to_crop[:, 2]) / scale
  print(f'{name} {x:.1f} {y:.1f} {score:.3f}')
