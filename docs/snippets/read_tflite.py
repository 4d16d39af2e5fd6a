"""Keypoints of one person by a TensorFlow Lite file: needs ai-edge-litert, NumPy and OpenCV."""

import json
import sys

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
import cv2
import numpy as np

path, picture = sys.argv[1:3]
with open(path, 'rb') as file:
  content = file.read()
model = schema.ModelT.InitFromPackedBuf(content)
(buffer,) = (entry.buffer for entry in model.metadata if entry.name == b'posejax')
about = json.loads(bytes(model.buffers[buffer].data))
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
found = Interpreter(model_content=content).get_signature_runner()(images=crop[None])
names = about['labels']['skeleton']['keypoints']
for name, point, score in zip(names, found['keypoints'][0], found['scores'][0], strict=True):
  x, y = (point - move) / scale
  print(f'{name} {x:.1f} {y:.1f} {score:.3f}')
