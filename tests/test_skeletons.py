"""The constants of the skeletons, against what they are said to be."""

import numpy as np
from pycocotools import cocoeval
import pytest

from posejax import skeletons

_COCO_SIGMAS = dict(
  zip(skeletons.COCO.keypoints, cocoeval.Params('keypoints').kpt_oks_sigmas, strict=True)
)
# mmpose's mpii.py, and its panoptic_body3d.py for the middle of the hips.
_OTHERS = {'head_top': 0.026, 'neck': 0.026, 'thorax': 0.026, 'pelvis': 0.107}


@pytest.mark.parametrize('name', skeletons.SKELETONS)
def test_sigmas_are_cocos_for_whatever_coco_labels(name):
  skeleton = skeletons.SKELETONS[name]
  expected = [(_COCO_SIGMAS | _OTHERS)[keypoint] for keypoint in skeleton.keypoints]
  np.testing.assert_allclose(skeleton.sigmas, expected, rtol=1e-12)


def test_mpiis_differ_from_mmposes_in_five_keypoints():
  mmpose = [
    0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026, 0.026, 0.026,
    0.062, 0.072, 0.179, 0.179, 0.072, 0.062,
  ]  # fmt: skip
  differ = np.flatnonzero(~np.isclose(skeletons.MPII.sigmas, mmpose))
  assert {skeletons.MPII.keypoints[i] for i in differ} == {
    'right_knee', 'left_knee', 'right_shoulder', 'left_shoulder', 'pelvis',
  }  # fmt: skip
