"""Skeletons: which keypoints there are, which swap under a mirror, how they are joined and weighted.

A `Skeleton` is complete and consistent or it is not constructed.
"""

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np

from posejax.errors import PosejaxError, nearest


@dataclasses.dataclass(frozen=True)
class Skeleton:
  """Keypoints of one kind of figure, validated on construction.

  Attributes:
    name: how the skeleton is called in messages.
    keypoints: K unique names, in the order of every `[..., K, 2]` array.
    flip_pairs: pairs of names that change places when the picture is mirrored; a keypoint in no pair
      stays itself.
    limbs: pairs of names joined by a line in drawings.
    sigmas: K per-keypoint constants of the object keypoint similarity (COCO's sigma, not 2 sigma).
    upper_body: names that the half-body augmentation keeps together; the others are the lower body.
    torso: pairs of names, tried in order, whose distance is the torso size of PCK; may be empty for
      a figure without a torso, whose PCK is then taken by box only.
  """

  name: str
  keypoints: tuple[str, ...]
  flip_pairs: tuple[tuple[str, str], ...]
  limbs: tuple[tuple[str, str], ...]
  sigmas: tuple[float, ...]
  upper_body: tuple[str, ...] = ()
  torso: tuple[tuple[str, str], ...] = ()

  def __post_init__(self):
    for field in ('keypoints', 'sigmas', 'upper_body'):
      object.__setattr__(self, field, tuple(getattr(self, field)))
    for field in ('flip_pairs', 'limbs', 'torso'):
      object.__setattr__(self, field, tuple(tuple(pair) for pair in getattr(self, field)))
    if not self.keypoints:
      raise PosejaxError(f'Skeleton {self.name!r} has no keypoints; name at least one.')
    repeated = sorted({n for n in self.keypoints if self.keypoints.count(n) > 1})
    if repeated:
      raise PosejaxError(f'Skeleton {self.name!r} names {repeated} twice; names must be unique.')
    for field in ('flip_pairs', 'limbs', 'torso'):
      for pair in getattr(self, field):
        if len(pair) != 2 or pair[0] == pair[1]:
          raise PosejaxError(
            f'Skeleton {self.name!r}: {field} entry {pair} must be two different keypoint names.'
          )
        for name in pair:
          self._check_known(field, name)
    for name in self.upper_body:
      self._check_known('upper_body', name)
    paired = [name for pair in self.flip_pairs for name in pair]
    twice = sorted({n for n in paired if paired.count(n) > 1})
    if twice:
      raise PosejaxError(
        f'Skeleton {self.name!r}: {twice} stand in more than one flip pair, so mirroring twice would '
        'not give the figure back; list each pair once.'
      )
    if len(self.sigmas) != len(self.keypoints):
      raise PosejaxError(
        f'Skeleton {self.name!r} has {len(self.keypoints)} keypoints and {len(self.sigmas)} sigmas; '
        'give one positive sigma per keypoint.'
      )
    if not all(np.isfinite(s) and s > 0 for s in self.sigmas):
      raise PosejaxError(f'Skeleton {self.name!r}: sigmas must be positive, got {self.sigmas}.')

  def _check_known(self, field: str, name: str):
    if name not in self.keypoints:
      raise PosejaxError(
        f'Skeleton {self.name!r}: {field} names the unknown keypoint {name!r}.'
        + nearest(name, self.keypoints)
      )

  @property
  def num_keypoints(self) -> int:
    """K."""
    return len(self.keypoints)

  def index(self, name: str) -> int:
    """Return the position of the keypoint called `name`."""
    self._check_known('index', name)
    return self.keypoints.index(name)

  @functools.cached_property
  def flip_permutation(self) -> np.ndarray:
    """int32 `[K]`: `array[flip_permutation]` reorders a mirrored figure's keypoints; an involution."""
    permutation = np.arange(self.num_keypoints, dtype=np.int32)
    for a, b in self.flip_pairs:
      i, j = self.index(a), self.index(b)
      permutation[i], permutation[j] = j, i
    permutation.setflags(write=False)
    return permutation

  @functools.cached_property
  def limb_indices(self) -> tuple[tuple[int, int], ...]:
    """Limbs as pairs of keypoint numbers."""
    return tuple((self.index(a), self.index(b)) for a, b in self.limbs)

  @functools.cached_property
  def torso_indices(self) -> tuple[tuple[int, int], ...]:
    """Torso diagonals as pairs of keypoint numbers, in the order they are tried."""
    return tuple((self.index(a), self.index(b)) for a, b in self.torso)

  @functools.cached_property
  def upper_body_mask(self) -> np.ndarray:
    """bool `[K]`: which keypoints belong to the upper body."""
    return np.array([name in self.upper_body for name in self.keypoints])

  def side(self, index: int) -> str:
    """Return 'left', 'right' or 'middle' for keypoint number `index`, by its name."""
    name = self.keypoints[index]
    return next((side for side in ('left', 'right') if name.startswith(side)), 'middle')


def _sided(*parts: str) -> tuple[tuple[str, str], ...]:
  return tuple((f'left_{part}', f'right_{part}') for part in parts)


_TORSO = (('left_shoulder', 'right_hip'), ('right_shoulder', 'left_hip'))
_BODY_PAIRS = _sided('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
_ARMS_AND_LEGS = tuple(
  (f'{side}_{a}', f'{side}_{b}')
  for side in ('left', 'right')
  for a, b in (('shoulder', 'elbow'), ('elbow', 'wrist'), ('hip', 'knee'), ('knee', 'ankle'))
)
_TRUNK = (
  ('left_shoulder', 'right_shoulder'),
  ('left_hip', 'right_hip'),
  ('left_shoulder', 'left_hip'),
  ('right_shoulder', 'right_hip'),
)
_ARM_NAMES = tuple(f'{s}_{p}' for p in ('shoulder', 'elbow', 'wrist') for s in ('left', 'right'))

# Source: the COCO evaluation server's kpt_oks_sigmas (pycocotools cocoeval.py), for whatever COCO
# labels, in every skeleton here. Head top, neck and thorax: open-mmlab/mmpose
# configs/_base_/datasets/mpii.py; pelvis: its panoptic_body3d.py. That mpii.py has others than COCO's
# for MPII's knees (0.083) and shoulders (0.179), and 0.026 for its pelvis; MPII's published figures
# are PCKh, which knows no sigmas.
_SIGMA = {
  'nose': 0.026,
  'eye': 0.025,
  'ear': 0.035,
  'shoulder': 0.079,
  'elbow': 0.072,
  'wrist': 0.062,
  'hip': 0.107,
  'knee': 0.087,
  'ankle': 0.089,
  'neck': 0.026,
  'thorax': 0.026,
  'head_top': 0.026,
  'pelvis': 0.107,
}


def _sigmas(names: Sequence[str]) -> tuple[float, ...]:
  return tuple(_SIGMA[n.removeprefix('left_').removeprefix('right_')] for n in names)


_COCO_NAMES = (
  'nose',
  *(f'{s}_{p}' for p in ('eye', 'ear') for s in ('left', 'right')),
  *_ARM_NAMES,
  *(f'{s}_{p}' for p in ('hip', 'knee', 'ankle') for s in ('left', 'right')),
)

# Source: cocodataset.org, category `person` of person_keypoints_*.json.
COCO = Skeleton(
  name='coco',
  keypoints=_COCO_NAMES,
  flip_pairs=_sided('eye', 'ear') + _BODY_PAIRS,
  limbs=(
    ('nose', 'left_eye'),
    ('nose', 'right_eye'),
    ('left_eye', 'left_ear'),
    ('right_eye', 'right_ear'),
    *_TRUNK,
    *_ARMS_AND_LEGS,
  ),
  sigmas=_sigmas(_COCO_NAMES),
  upper_body=_COCO_NAMES[:11],
  torso=_TORSO,
)

_MPII_NAMES = (
  'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
  'pelvis', 'thorax', 'neck', 'head_top',
  'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist',
)  # fmt: skip

# Source: human-pose.mpi-inf.mpg.de, joint ids 0 to 15 of the annotation format ("upper neck" is
# `neck` here).
MPII = Skeleton(
  name='mpii',
  keypoints=_MPII_NAMES,
  flip_pairs=_BODY_PAIRS,
  limbs=(
    ('head_top', 'neck'),
    ('neck', 'thorax'),
    ('thorax', 'pelvis'),
    ('thorax', 'left_shoulder'),
    ('thorax', 'right_shoulder'),
    ('pelvis', 'left_hip'),
    ('pelvis', 'right_hip'),
    *_ARMS_AND_LEGS,
  ),
  sigmas=_sigmas(_MPII_NAMES),
  upper_body=_MPII_NAMES[7:],
  torso=_TORSO,
)

_LSP_NAMES = (
  'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
  'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist',
  'neck', 'head_top',
)  # fmt: skip

# Source: README of the Leeds Sports Pose data sets (Johnson and Everingham, BMVC 2010, CVPR 2011).
LSP = Skeleton(
  name='lsp',
  keypoints=_LSP_NAMES,
  flip_pairs=_BODY_PAIRS,
  limbs=(
    ('head_top', 'neck'),
    ('neck', 'left_shoulder'),
    ('neck', 'right_shoulder'),
    *_TRUNK[1:],
    *_ARMS_AND_LEGS,
  ),
  sigmas=_sigmas(_LSP_NAMES),
  upper_body=_LSP_NAMES[6:],
  torso=_TORSO,
)

_PANOPTIC_NAMES = (
  'neck', 'nose', 'pelvis',
  'left_shoulder', 'left_elbow', 'left_wrist', 'left_hip', 'left_knee', 'left_ankle',
  'right_shoulder', 'right_elbow', 'right_wrist', 'right_hip', 'right_knee', 'right_ankle',
  'left_eye', 'left_ear', 'right_eye', 'right_ear',
)  # fmt: skip

# Source: CMU panoptic-toolbox README, "coco19" joint order ("BodyCenter" is `pelvis` here).
PANOPTIC = Skeleton(
  name='panoptic',
  keypoints=_PANOPTIC_NAMES,
  flip_pairs=_sided('eye', 'ear') + _BODY_PAIRS,
  limbs=(
    ('neck', 'nose'),
    ('neck', 'pelvis'),
    ('nose', 'left_eye'),
    ('nose', 'right_eye'),
    ('left_eye', 'left_ear'),
    ('right_eye', 'right_ear'),
    ('neck', 'left_shoulder'),
    ('neck', 'right_shoulder'),
    ('pelvis', 'left_hip'),
    ('pelvis', 'right_hip'),
    *_ARMS_AND_LEGS,
  ),
  sigmas=_sigmas(_PANOPTIC_NAMES),
  upper_body=('neck', 'nose', *_ARM_NAMES, 'left_eye', 'left_ear', 'right_eye', 'right_ear'),
  torso=_TORSO,
)

SKELETONS = {s.name: s for s in (COCO, MPII, LSP, PANOPTIC)}
