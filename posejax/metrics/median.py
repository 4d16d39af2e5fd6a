"""The median pose: what a predictor that never looks at the picture would answer."""

import numpy as np


def median_pose(keypoints: np.ndarray, visibility: np.ndarray) -> np.ndarray:
  """Return the pose of per-coordinate medians over the labelled keypoints of many figures.

  Args:
    keypoints: `[N, K, 2]` in the crop frame divided by the crop's (W, H).
    visibility: `[N, K]`, above 0 where labelled.

  Returns:
    float32 `[K, 2]`, to be multiplied by a crop's (W, H); (0.5, 0.5) for a keypoint that nobody
    labelled.
  """
  labelled = np.asarray(visibility) > 0
  pose = np.full(keypoints.shape[1:], 0.5, np.float32)
  for k in np.flatnonzero(labelled.any(axis=0)):
    pose[k] = np.median(keypoints[labelled[:, k], k], axis=0)
  return pose
