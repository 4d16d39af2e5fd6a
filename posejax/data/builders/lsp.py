"""Leeds Sports Pose and its extended training set."""

import functools
import os

import numpy as np
import tensorflow_datasets as tfds

from posejax import skeletons
from posejax.data.builders import base, matlab
from posejax.data.formats import coco_read
from posejax.errors import PosejaxError
from posejax.geometry import boxes

_K = skeletons.LSP.num_keypoints
_VALIDATION_SHARE = 10


class _Leeds(base.PeopleBuilder, skip_registration=True):
  """What the two sets share: `joints.mat`, and pictures numbered from 1."""

  SKELETON = skeletons.LSP
  NAME_FORMAT = 'im{:04d}.jpg'

  def annotation_files(self, root):
    """Return joints.mat."""
    path = os.path.join(root, 'joints.mat')
    if not (os.path.isfile(path) and os.path.isdir(os.path.join(root, 'images'))):
      raise PosejaxError(f'{root} must hold {self.LAYOUT}.')
    return [path]

  def read_joints(self, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return `(keypoints [N, 14, 2], visibility [N, 14])` of joints.mat."""
    raise NotImplementedError

  def num_train(self, num_pictures: int) -> int:
    """Return how many of the pictures, the first ones, are for training."""
    raise NotImplementedError

  def splits(self, root, faults):
    """Return the pictures in the order of their numbers."""
    keypoints, visibility = self.read_joints(os.path.join(root, 'joints.mat'))
    cut = self.num_train(len(keypoints))
    numbers = {'train': range(cut), 'validation': range(cut, len(keypoints))}

    def people(i, split, image_hw):
      labelled = coco_read.drop_outside(keypoints[i], visibility[i], image_hw, faults[split])
      box = boxes.box_from_keypoints(keypoints[i], labelled)
      if box is None or not (box[2:] - box[:2]).max() > 0:
        return []
      return [{'keypoints': keypoints[i], 'visibility': labelled, 'box': box}]

    return {
      split: base.Split(
        [
          base.Picture(
            os.path.join(root, 'images', self.NAME_FORMAT.format(i + 1)),
            functools.partial(people, i, split),
            i + 1,
          )
          for i in those
        ],
        len(those),
      )
      for split, those in numbers.items()
    }

  def _joints(self, path: str, axes: tuple[int, int, int], other: str) -> np.ndarray:
    """Return `[N, 14, 3]` from an array whose (N, 14, 3) lie on `axes`."""
    joints = matlab.load(path, 'joints')
    if joints.ndim != 3 or np.transpose(joints, axes).shape[1:] != (_K, 3):
      shape = ['N', str(_K), '3']
      expected = 'x'.join(shape[axes.index(axis)] for axis in range(3))
      raise PosejaxError(
        f'{path}: joints is {"x".join(map(str, joints.shape))}, expected {expected}. Is it {other}?'
      )
    joints = np.transpose(joints, axes)
    if not np.isfinite(joints).all():
      raise PosejaxError(f'{path}: joints holds numbers that are not finite. Fetch it again.')
    return joints


class PosejaxLsp(_Leeds):
  """Leeds Sports Pose: 2,000 sports people, scaled to about 150 pixels; 1,000 of them to test on.

  The third number of a joint tells whether it is hidden; hidden ones are labelled too. The box is the
  extent of the labelled keypoints. 'validation' is the official test half, the last 1,000.

  Source: Johnson and Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose
  Estimation, BMVC 2010.
  """

  VERSION = tfds.core.Version('1.0.0')
  LAYOUT = 'joints.mat (3x14x2000) and images/im0001.jpg … im2000.jpg'
  HOMEPAGE = 'http://sam.johnson.io/research/lsp.html'

  def read_joints(self, path):
    """Return keypoints, and 1 for hidden, 2 for visible ones."""
    joints = self._joints(path, (2, 1, 0), 'the joints.mat of LSP-Extended (lspet)')
    return joints[..., :2].astype(np.float32), np.where(joints[..., 2] > 0, 1, 2)

  def num_train(self, num_pictures):
    """Return 1,000 of 2,000, or the first half of a part of the set."""
    return num_pictures // 2


class PosejaxLspet(_Leeds):
  """Leeds Sports Pose Extended: 10,000 people at parkour, gymnastics and athletics; noisy labels.

  The third number of a joint tells whether it is visible; the place of a hidden one means nothing, so
  it counts as not labelled. The box is the extent of the labelled keypoints. There is no official
  split: 'validation' is the last tenth of the pictures by number.

  Source: Johnson and Everingham, Learning Effective Human Pose Estimation from Inaccurate Annotation,
  CVPR 2011.
  """

  VERSION = tfds.core.Version('1.0.0')
  LAYOUT = 'joints.mat (14x3x10000) and images/im00001.jpg … im10000.jpg'
  HOMEPAGE = 'http://sam.johnson.io/research/lspet.html'
  NAME_FORMAT = 'im{:05d}.jpg'

  def read_joints(self, path):
    """Return keypoints, and 0 for hidden, 2 for visible ones."""
    joints = self._joints(path, (2, 0, 1), 'the joints.mat of LSP')
    return joints[..., :2].astype(np.float32), np.where(joints[..., 2] > 0, 2, 0)

  def num_train(self, num_pictures):
    """Return nine tenths."""
    return num_pictures - max(1, num_pictures // _VALIDATION_SHARE)
