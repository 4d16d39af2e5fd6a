"""MediaPipe's BlazePose for `benchmarks/real_people.py`, in an environment of its own.

    python -m venv PEER && PEER/bin/pip install mediapipe==0.10.14
    PEER/bin/python benchmarks/blazepose.py people.json blazepose.json [--complexity=1]

Each person is cut out at 1.25 times the box, as MoveNet is shown it, and is a picture of its own to
MediaPipe, which looks for the person on it first. Who it does not find has no keypoint right.
Complexity 1 is its `full` net, which the package holds; MediaPipe downloads 0 (lite) and 2 (heavy).
"""

import argparse
import json
import os
import statistics
import time

import cv2
import mediapipe
import numpy as np

PADDING = 1.25
# Source: the 33 landmarks of MediaPipe's pose solution, mediapipe/python/solutions/pose.py.
LANDMARKS = {
  'nose': 0,
  'left_eye': 2,
  'right_eye': 5,
  'left_ear': 7,
  'right_ear': 8,
  'left_shoulder': 11,
  'right_shoulder': 12,
  'left_elbow': 13,
  'right_elbow': 14,
  'left_wrist': 15,
  'right_wrist': 16,
  'left_hip': 23,
  'right_hip': 24,
  'left_knee': 25,
  'right_knee': 26,
  'left_ankle': 27,
  'right_ankle': 28,
}
NOWHERE = -1e4


def crop(image, box):
  """Return the square around a box, black outside of the picture, and its top left corner."""
  box = np.asarray(box)
  side = max(int(np.ceil(PADDING * (box[2:] - box[:2] + 1).max())), 2)
  left, top = np.round((box[:2] + box[2:] + 1) / 2 - side / 2).astype(int)
  matrix = np.array([[1.0, 0, -left], [0, 1, -top]])
  return cv2.warpAffine(image, matrix, (side, side)), (left, top)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('people', help='of real_people.py --write_people')
  parser.add_argument('out')
  parser.add_argument('--complexity', type=int, default=1, choices=(0, 1, 2))
  args = parser.parse_args()
  with open(args.people, encoding='utf-8') as file:
    people = json.load(file)
  places, taken, missed = {}, [], 0
  options = {'static_image_mode': True, 'model_complexity': args.complexity}
  with mediapipe.solutions.pose.Pose(**options) as pose:
    for name, everybody in people.items():
      places[name] = []
      for one in everybody:
        image = cv2.imread(one['path'])[..., ::-1]
        began = time.perf_counter()
        shown, corner = crop(image, one['box'])
        landmarks = pose.process(shown).pose_landmarks
        taken.append(time.perf_counter() - began)
        if landmarks is None:
          missed += 1
          places[name].append([[NOWHERE, NOWHERE, 0.0]] * len(LANDMARKS))
          continue
        side = shown.shape[0]
        found = [landmarks.landmark[i] for i in LANDMARKS.values()]
        # A landmark is a part of the picture from its edge on, half a pixel before the first centre.
        places[name].append(
          [
            [float(p.x * side - 0.5 + corner[0]), float(p.y * side - 0.5 + corner[1]), p.visibility]
            for p in found
          ]
        )
  kind = ('lite', 'full', 'heavy')[args.complexity]
  folder = os.path.join(os.path.dirname(mediapipe.__file__), 'modules')
  files = ['pose_detection/pose_detection.tflite', f'pose_landmark/pose_landmark_{kind}.tflite']
  result = {
    'name': f'BlazePose {kind} (MediaPipe {mediapipe.__version__})',
    'keypoints': list(LANDMARKS),
    'places': places,
    'milliseconds': 1e3 * statistics.median(taken),
    'megabytes': sum(os.path.getsize(os.path.join(folder, file)) for file in files) / 1e6,
    'licence': 'Apache-2.0',
  }
  with open(args.out, 'w', encoding='utf-8') as file:
    json.dump(result, file)
  print(f'{missed} of {len(taken)} were not found')


if __name__ == '__main__':
  main()
