"""CMU Panoptic: 3-D poses of its HD recordings, projected into each HD camera's pictures."""

from collections.abc import Iterator, Mapping
import functools
import json
import os
import re

import numpy as np
import tensorflow_datasets as tfds

from posejax import skeletons
from posejax.data.builders import base
from posejax.data.formats import pictures
from posejax.errors import PosejaxError
from posejax.geometry import boxes, capsules
from posejax.geometry.camera import Camera

# Source: VAL_LIST of microsoft/voxelpose-pytorch lib/dataset/panoptic.py.
VALIDATION = ('160422_haggling1', '160906_band4', '160906_ian5', '160906_pizza1')
# Source: the same file takes joints above this confidence.
_LEAST_CONFIDENCE = 0.1
_POSES = 'hdPose3d_stage1_coco19'
_VALIDATION_SHARE = 10
_K = skeletons.PANOPTIC.num_keypoints
_index = skeletons.PANOPTIC.index

# The flesh around the bones, centimetres: what hides one joint from a camera behind another. Estimates
# of an adult's half widths.
_RADII = {
  ('neck', 'pelvis'): 13.0,
  **{(f'{side}_shoulder', f'{side}_elbow'): 5.0 for side in ('left', 'right')},
  **{(f'{side}_elbow', f'{side}_wrist'): 4.0 for side in ('left', 'right')},
  **{(f'{side}_hip', f'{side}_knee'): 7.5 for side in ('left', 'right')},
  **{(f'{side}_knee', f'{side}_ankle'): 5.5 for side in ('left', 'right')},
}
# A ball midway between the ears, which lie just outside it.
_HEAD_RADIUS = 7.0


class PosejaxPanoptic(base.PeopleBuilder):
  """CMU Panoptic Studio: groups of people seen by up to 31 HD cameras.

  Joints of `hdPose3d_stage1_coco19` are projected with lens distortion into every HD camera whose
  pictures are there. A joint that the authors' reconstruction is not sure of (confidence up to 0.1),
  that lies outside the picture or behind the camera is not labelled (0); one that a body covers is
  labelled and hidden (1), others visible (2). What covers a joint is computed from everybody's bones,
  each with a thickness: an estimate, which knows no furniture and no clothes. The box is the extent of
  the labelled keypoints.

  'validation' are the published four recordings (VoxelPose's); where none of them is there, the last
  recording by name, or of a single one its last tenth of frames. Frames without a picture are counted
  and skipped.

  Source: Joo et al., Panoptic Studio, ICCV 2015; CMU-Perceptual-Computing-Lab/panoptic-toolbox.
  """

  VERSION = tfds.core.Version('1.0.0')
  SKELETON = skeletons.PANOPTIC
  LAYOUT = (
    "the toolbox's folders of recordings: <recording>/calibration_<recording>.json, "
    f'<recording>/{_POSES}/body3DScene_*.json and <recording>/hdImgs/00_XX/00_XX_*.jpg'
  )
  HOMEPAGE = 'http://domedb.perception.cs.cmu.edu'

  def annotation_files(self, root):
    """Return calibrations and poses of all recordings."""
    files = []
    for recording in _recordings(root, self.LAYOUT):
      folder = os.path.join(root, recording)
      calibration = os.path.join(folder, f'calibration_{recording}.json')
      poses = os.path.join(folder, _POSES)
      for path in (calibration, poses):
        if not os.path.exists(path):
          raise PosejaxError(f'{path} is missing. {root} must hold {self.LAYOUT}.')
      files += [calibration, *(os.path.join(poses, name) for name in _frames(poses).values())]
    return files

  def splits(self, root, faults):
    """Return the pictures by recording, frame and camera."""
    recordings = {name: _Recording(root, name) for name in _recordings(root, self.LAYOUT)}
    parts = _parts({name: sorted(recording.frames) for name, recording in recordings.items()})
    return {split: _split(recordings, part, faults[split]) for split, part in parts.items()}


class _Recording:
  """A recording's cameras, frames with poses, and pictures."""

  def __init__(self, root: str, name: str):
    self.folder = os.path.join(root, name)
    self.frames = _frames(os.path.join(self.folder, _POSES))
    self.images = pictures.files_below(os.path.join(self.folder, 'hdImgs'))
    calibration = os.path.join(self.folder, f'calibration_{name}.json')
    self.cameras = read_cameras(calibration)
    filmed = sorted({path.split('/')[0] for path in self.images if '/' in path})
    unknown = [camera for camera in filmed if camera not in self.cameras]
    if unknown:
      raise PosejaxError(
        f'{calibration} has no HD camera {unknown[0]!r}, of which '
        f'{os.path.join(self.folder, "hdImgs", unknown[0])} holds pictures. Fetch the calibration of '
        'this recording, or take the folder away.'
      )
    self.cameras = {camera: self.cameras[camera] for camera in filmed}

  def image_name(self, camera: str, frame: int) -> str:
    """Return a picture's path below `hdImgs`."""
    return f'{camera}/{camera}_{frame:08d}.jpg'

  def bodies(self, frame: int) -> np.ndarray:
    """Return `[P, 19, 4]`: x, y, z in centimetres and the confidence."""
    path = os.path.join(self.folder, _POSES, self.frames[frame])
    with open(path, 'rb') as file:
      try:
        bodies = json.load(file)['bodies']
        joints = [np.array(body['joints19'], np.float64).reshape(_K, 4) for body in bodies]
      except (KeyError, TypeError, ValueError) as error:
        raise PosejaxError(
          f'{path} is not a pose file of the toolbox ({error!r}); expected {{"bodies": [{{"joints19": '
          '[x, y, z, confidence, …]}}]}}.'
        ) from None
    return np.reshape(joints, (-1, _K, 4))


def _split(
  recordings: Mapping[str, _Recording], part: Mapping[str, list[int]], faults: pictures.Faults
) -> base.Split:
  total = sum(len(frames) * len(recordings[name].cameras) for name, frames in part.items())

  def walk() -> Iterator[base.Picture]:
    for name, frames in part.items():
      recording = recordings[name]
      for frame in frames:
        bodies = recording.bodies(frame)
        for camera_name, camera in recording.cameras.items():
          image_name = recording.image_name(camera_name, frame)
          if image_name not in recording.images:
            faults.counts['frames without a picture'] += 1
            continue
          yield base.Picture(
            os.path.join(recording.folder, 'hdImgs', image_name),
            functools.partial(_seen, camera, bodies),
            frame,
            camera.image_hw,
          )

  return base.Split(walk(), total)


def _seen(camera: Camera, bodies: np.ndarray, image_hw: tuple[int, int]) -> list[dict]:
  """Return the people in a picture."""
  del image_hw  # the camera's, as was checked
  people = []
  for keypoints, visibility in zip(*project_bodies(camera, bodies), strict=True):
    box = boxes.box_from_keypoints(keypoints, visibility)
    if box is not None and (box[2:] - box[:2]).max() > 0:
      people.append({'keypoints': keypoints, 'visibility': visibility, 'box': box})
  return people


def project_bodies(camera: Camera, bodies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Return where the joints of everybody appear in a camera's picture.

  Args:
    camera: in centimetres.
    bodies: `[P, 19, 4]`: x, y, z and the confidence, at most 0 for a joint that is not there.

  Returns:
    `(keypoints float32 [P, 19, 2], visibility int32 [P, 19])`, image frame: 0 not sure, or outside;
    1 hidden; 2 visible. Unlabelled keypoints are at (0, 0).
  """
  points, known = bodies[..., :3], bodies[..., 3] > _LEAST_CONFIDENCE
  pixels, valid = camera.project(points)
  h, w = camera.image_hw
  inside = ((pixels >= 0) & (pixels <= (w - 1, h - 1))).all(axis=-1)
  labelled = known & valid & inside
  bones = np.array([[_index(a), _index(b)] for a, b in _RADII])
  bones_known = known[:, bones].all(axis=-1)
  ears = [_index('left_ear'), _index('right_ear')]
  heads = points[:, ears].mean(axis=1)[known[:, ears].all(axis=-1)]
  ends = points[:, bones][bones_known]
  radii = np.broadcast_to(np.array(list(_RADII.values())), bones_known.shape)[bones_known]
  hidden = np.zeros(labelled.shape, bool)
  hidden[labelled] = capsules.hidden(
    camera.center,
    points[labelled],
    np.concatenate([ends[:, 0], heads]),
    np.concatenate([ends[:, 1], heads]),
    np.concatenate([radii, np.full(len(heads), _HEAD_RADIUS)]),
  )
  keypoints = np.where(labelled[..., None], pixels, 0).astype(np.float32)
  return keypoints, np.where(labelled, np.where(hidden, 1, 2), 0).astype(np.int32)


def read_cameras(path: str) -> dict[str, Camera]:
  """Return the HD cameras of a calibration file by name, such as '00_03'.

  Raises:
    PosejaxError: the file is missing or not a calibration of the toolbox.
  """
  try:
    with open(path, 'rb') as file:
      return {
        entry['name']: Camera(
          np.array(entry['K'], np.float64).reshape(3, 3),
          np.array(entry['distCoef'], np.float64).reshape(5),
          np.array(entry['R'], np.float64).reshape(3, 3),
          np.array(entry['t'], np.float64).reshape(3),
          (int(entry['resolution'][1]), int(entry['resolution'][0])),
        )
        for entry in json.load(file)['cameras']
        if entry['type'] == 'hd'
      }
  except OSError as error:
    raise PosejaxError(f'{path}: {error.strerror}.') from None
  except (KeyError, TypeError, ValueError, IndexError) as error:
    raise PosejaxError(
      f'{path} is not a calibration of the panoptic-toolbox ({error!r}): each camera needs name, type, '
      'resolution, K, distCoef (5 numbers), R and t.'
    ) from None


def _recordings(root: str, layout: str) -> list[str]:
  names = sorted(os.listdir(root)) if os.path.isdir(root) else []
  found = [name for name in names if os.path.isdir(os.path.join(root, name, 'hdImgs'))]
  if not found:
    raise PosejaxError(f'No recording with a folder hdImgs in {root}, which must hold {layout}.')
  return found


def _frames(folder: str) -> dict[int, str]:
  """Return `{frame number: name of its pose file}`, in order."""
  matches = [re.fullmatch(r'body3DScene_(\d+)\.json', name) for name in sorted(os.listdir(folder))]
  return {int(match[1]): match[0] for match in matches if match}


def _parts(frames: Mapping[str, list[int]]) -> dict[str, dict[str, list[int]]]:
  """Return the recordings and frames of 'train' and 'validation'."""
  held_out = [name for name in frames if name in VALIDATION]
  if not held_out and len(frames) > 1:
    held_out = [max(frames)]
  if held_out:
    return {
      'train': {name: f for name, f in frames.items() if name not in held_out},
      'validation': {name: frames[name] for name in held_out},
    }
  ((name, numbers),) = frames.items()
  cut = len(numbers) - max(1, len(numbers) // _VALIDATION_SHARE)
  return {'train': {name: numbers[:cut]}, 'validation': {name: numbers[cut:]}}
