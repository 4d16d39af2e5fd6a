"""Tiny data sets in the layouts of the public ones."""

import json
import os

import cv2
import numpy as np
from scipy import io

from posejax import skeletons

HW = (48, 64)


def jpeg(seed: int, hw: tuple[int, int] = HW) -> bytes:
  """Return a picture of noise that is not the same for two seeds."""
  noise = np.random.default_rng(seed).integers(0, 255, (*hw, 3), dtype=np.uint8)
  return cv2.imencode('.jpg', cv2.GaussianBlur(noise, (5, 5), 0))[1].tobytes()


def write(path, content) -> None:
  """Write bytes, or anything else as JSON, making the folders above."""
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with open(path, 'wb') as file:
    file.write(content if isinstance(content, bytes) else json.dumps(content).encode())


def cut_short(path) -> None:
  """Take a file's second half away."""
  with open(path, 'rb') as file:
    content = file.read()
  write(path, content[: len(content) // 2])


def figure(rng: np.random.Generator, num_keypoints: int, hw: tuple[int, int] = HW) -> np.ndarray:
  """Return `[K, 3]` random whole x, y within the picture and v; at least two are labelled."""
  h, w = hw
  xy = rng.integers(1, (w - 1, h - 1), (num_keypoints, 2))
  v = rng.integers(0, 3, num_keypoints)
  v[:2] = 2
  xy[1] = xy[0] // 2 + 3
  return np.concatenate([xy, v[:, None]], axis=1)


def annotation(number: int, image_id: int, points: np.ndarray, **changes) -> dict:
  """Return an annotation of COCO's format with a box around the labelled keypoints."""
  labelled = points[points[:, 2] > 0, :2]
  low, high = labelled.min(axis=0), labelled.max(axis=0)
  box = [*(low - 1), *(high - low + 3)]
  values = {
    'id': number,
    'image_id': image_id,
    'category_id': 1,
    'iscrowd': 0,
    'keypoints': np.where(points[:, 2:] > 0, points, 0).ravel().tolist(),
    'num_keypoints': len(labelled),
    'bbox': [float(value) for value in box],
    'area': float(box[2] * box[3]) / 2,
    'segmentation': [[1, 1, 2, 2, 3, 3]],
  }
  values |= changes
  return {key: value for key, value in values.items() if value is not None}


def coco_dataset(num_images: int = 4, first: int = 1, names=skeletons.COCO.keypoints) -> dict:
  """Return a file's content: two people per picture, with ids that rise."""
  rng = np.random.default_rng(first)
  K = len(names)
  return {
    'images': [
      {'id': i, 'file_name': f'{i:012d}.jpg', 'height': HW[0], 'width': HW[1]}
      for i in range(first, first + num_images)
    ],
    'annotations': [
      annotation(10 * i + n, i, figure(rng, K))
      for i in range(first, first + num_images)
      for n in range(2)
    ],
    'categories': [
      {'id': 1, 'name': 'person', 'keypoints': list(names), 'skeleton': [[1, 2]]},
    ],
  }


def instances_dataset(first: int = 1) -> dict:
  """Return a file's content in COCO's instances form: boxes of three classes, no keypoints.

  Ids are neither in order nor contiguous. Of five pictures one has no annotation, one a crowd, and one a
  box without area.
  """
  rows = [
    (0, 7, [3, 4, 20, 30], 0),
    (0, 90, [30.5, 10.25, 25.5, 30], 0),
    (1, 3, [5, 5, 40, 12], 0),
    (1, 7, [0, 0, 64, 48], 1),
    (3, 3, [10, 20, 0, 9], 0),
    (3, 3, [12, 6, 30, 36], 0),
    (4, 90, [40, 2, 20, 44], 0),
    (4, 7, [1, 20, 24, 24], 0),
  ]
  outline = {0: [[1, 1, 2, 2, 3, 3]], 1: {'counts': [5, 9], 'size': list(HW)}}
  return {
    'images': [
      {'id': i, 'file_name': f'{i:012d}.jpg', 'height': HW[0], 'width': HW[1]}
      for i in range(first, first + 5)
    ],
    'annotations': [
      {
        'id': 100 * first + n,
        'image_id': first + place,
        'category_id': category,
        'bbox': box,
        'area': 0.7 * box[2] * box[3],
        'iscrowd': crowd,
        'segmentation': outline[crowd],
      }
      for n, (place, category, box, crowd) in enumerate(rows)
    ],
    'categories': [
      {'id': 7, 'name': 'cat', 'supercategory': 'animal'},
      {'id': 90, 'name': 'toothbrush', 'supercategory': 'indoor'},
      {'id': 3, 'name': 'dog', 'supercategory': 'animal'},
    ],
  }


def write_pictures(folder, dataset: dict) -> None:
  """Write every picture of a COCO-format file's content."""
  for image in dataset['images']:
    write(os.path.join(folder, image['file_name']), jpeg(image['id']))


def coco(root, train: dict | None = None, validation: dict | None = None) -> str:
  """Write COCO 2017."""
  for split, dataset in (
    ('train2017', train or coco_dataset(4)),
    ('val2017', validation or coco_dataset(3, first=100)),
  ):
    write(os.path.join(root, 'annotations', f'person_keypoints_{split}.json'), dataset)
    write_pictures(os.path.join(root, split), dataset)
  return str(root)


def leeds(root, extended: bool, number: int = 20) -> tuple[str, np.ndarray]:
  """Write LSP or LSP-Extended; return its folder and `[N, 14, 3]` as its joints.mat holds them."""
  rng = np.random.default_rng(0)
  joints = np.stack([figure(rng, 14) for _ in range(number)]).astype(np.float64)
  joints[..., :2] += 0.25
  joints[..., 2] = (joints[..., 2] > 0) == extended
  os.makedirs(root, exist_ok=True)
  axes = (1, 2, 0) if extended else (2, 1, 0)
  io.savemat(os.path.join(root, 'joints.mat'), {'joints': np.transpose(joints, axes)})
  for i in range(number):
    name = f'im{i + 1:05d}.jpg' if extended else f'im{i + 1:04d}.jpg'
    write(os.path.join(root, 'images', name), jpeg(i))
  return str(root), joints


def mpii_entry(image: str, points: np.ndarray, place=(30.0, 20.0), scale=0.2) -> dict:
  """Return a person of the HRNet project's JSON form."""
  return {
    'image': image,
    'joints': points[:, :2].tolist(),
    'joints_vis': (points[:, 2] > 0).astype(int).tolist(),
    'center': list(place),
    'scale': scale,
  }


def mpii_json(root) -> str:
  """Write MPII in the HRNet project's form: 3 people on 2 pictures to train on, 2 to validate."""
  rng = np.random.default_rng(1)
  parts = {'train': ('b.jpg', 'a.jpg', 'b.jpg'), 'valid': ('d.jpg', 'c.jpg')}
  for part, names in parts.items():
    entries = [mpii_entry(name, figure(rng, 16)) for name in names]
    write(os.path.join(root, 'annot', f'{part}.json'), entries)
  heads = np.zeros((2, 2, 2))
  heads[0], heads[1] = [[10, 1], [10, 1]], [[13, 7], [14, 9]]  # 3 by 4, and 6 by 8
  io.savemat(os.path.join(root, 'annot', 'gt_valid.mat'), {'headboxes_src': heads})
  for seed, name in enumerate('abcd'):
    write(os.path.join(root, 'images', f'{name}.jpg'), jpeg(seed))
  return str(root)


def mpii_mat(root, number: int = 12) -> str:
  """Write MPII in its authors' form, with what occurs in it: missing parts, empty arrays."""
  pictures = []
  for i in range(number):
    points = [{'x': 10.0 + k, 'y': 5.0 + 2 * k, 'id': k, 'is_visible': k % 2} for k in range(8)] + [
      {'x': 20.0, 'y': 30.0, 'id': 9, 'is_visible': np.zeros((0, 0))}
    ]
    rect = {
      'x1': 4.0, 'y1': 5.0, 'x2': 7.0, 'y2': 9.0, 'scale': 0.2,
      'objpos': {'x': 30.0, 'y': 20.0},
      'annopoints': {'point': np.array(points, object)},
    }  # fmt: skip
    rects = [rect]
    if i == 1:  # somebody without a place, and somebody without keypoints
      rects = [{**rect, 'scale': np.zeros((0, 0)), 'objpos': np.zeros((0, 0))}]
      rects += [{**rect, 'annopoints': np.zeros((0, 0))}]
    if i == 2:
      rects = []
    pictures.append({'image': {'name': f'{i:03d}.jpg'}, 'annorect': np.array(rects, object)})
    write(os.path.join(root, 'images', f'{i:03d}.jpg'), jpeg(i))
  test = np.array([1] * (number - 1) + [0])
  release = {'annolist': np.array(pictures, object), 'img_train': test}
  io.savemat(os.path.join(root, 'mpii_human_pose_v1_u12_1.mat'), {'RELEASE': release})
  return str(root)


def panoptic_camera(name: str, turn: float, hw: tuple[int, int] = HW) -> dict:
  """Return a camera 300 cm from the middle, turned about the (downward) y axis."""
  cos, sin = np.cos(turn), np.sin(turn)
  return {
    'name': name,
    'type': 'hd',
    'resolution': [hw[1], hw[0]],
    'K': [[60, 0, hw[1] / 2], [0, 60, hw[0] / 2], [0, 0, 1]],
    'distCoef': [-0.1, 0.02, 1e-3, 1e-3, 0],
    'R': [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]],
    't': [[0], [0], [300]],
  }


def panoptic_body(at: float = 0.0) -> list[float]:
  """Return joints19 of somebody who stands and looks along -z, `at` centimetres aside."""
  places = {
    'neck': (0, -50, 0), 'nose': (0, -65, -10), 'pelvis': (0, 0, 0),
    'shoulder': (18, -50, 0), 'elbow': (20, -20, 0), 'wrist': (20, 5, 0),
    'hip': (10, 0, 0), 'knee': (10, 40, 0), 'ankle': (10, 80, 0),
    'eye': (3, -70, -8), 'ear': (8, -68, 0),
  }  # fmt: skip
  joints = []
  for name in skeletons.PANOPTIC.keypoints:
    x, y, z = places[name.removeprefix('left_').removeprefix('right_')]
    # The figure's left is to the right of who looks at its face.
    side = -1 if name.startswith('right_') else 1
    joints += [side * x + at, y, z, 0.6]
  return joints


def panoptic(root, recordings=('160906_band1', '160906_band2'), frames=(7, 8)) -> str:
  """Write recordings with two filmed HD cameras of three, and pictures of all frames but one."""
  for recording in recordings:
    folder = os.path.join(root, recording)
    cameras = [panoptic_camera(f'00_{n:02d}', n * np.pi / 2) for n in range(3)]
    cameras.append({**cameras[0], 'name': '01_01', 'type': 'vga'})
    write(os.path.join(folder, f'calibration_{recording}.json'), {'cameras': cameras})
    for frame in frames:
      bodies = [{'id': n, 'joints19': panoptic_body(40.0 * n + frame)} for n in range(2)]
      name = f'body3DScene_{frame:08d}.json'
      write(os.path.join(folder, 'hdPose3d_stage1_coco19', name), {'bodies': bodies})
      for camera in ('00_00', '00_01'):
        if (camera, frame) != ('00_01', frames[0]):
          name = f'{camera}/{camera}_{frame:08d}.jpg'
          write(os.path.join(folder, 'hdImgs', name), jpeg(frame))
  return str(root)
