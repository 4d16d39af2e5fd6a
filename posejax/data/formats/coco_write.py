"""Keypoint annotations written in COCO's JSON format, as `coco_read` and `coco_file` read them."""

from collections.abc import Sequence
import json
import os
from typing import Any

import numpy as np

from posejax import files
from posejax.skeletons import SKELETONS, Skeleton

CATEGORY_ID = 1


def category(skeleton: Skeleton) -> dict[str, Any]:
  """Return the category of a skeleton's figures: names, limbs (counted from 1) and sigmas."""
  return {
    'id': CATEGORY_ID,
    'name': 'person' if skeleton.name in SKELETONS else skeleton.name,
    'keypoints': list(skeleton.keypoints),
    'skeleton': [[a + 1, b + 1] for a, b in skeleton.limb_indices],
    'sigmas': list(skeleton.sigmas),
  }


def skeleton_file(skeleton: Skeleton) -> dict[str, Any] | None:
  """Return what `formats.own_skeleton` needs beside the category; None for a known skeleton."""
  if skeleton.keypoints in [known.keypoints for known in SKELETONS.values()]:
    return None
  return {
    'name': skeleton.name,
    'flip_pairs': skeleton.flip_pairs,
    'sigmas': skeleton.sigmas,
    'limbs': skeleton.limbs,
    'upper_body': skeleton.upper_body,
    'torso': skeleton.torso,
  }


def annotation(
  number: Any,
  image_id: Any,
  keypoints: np.ndarray,
  visibility: np.ndarray,
  box: np.ndarray,
  area: float | None = None,
) -> dict[str, Any]:
  """Return a person's annotation; it reads back to the same arrays.

  Args:
    number: its id.
    image_id: of its picture.
    keypoints: `[K, 2]`, image frame; written as 0 where not labelled.
    visibility: `[K]`, 0, 1 or 2.
    box: `[4]` xyxy, corners on the outermost pixels, so that COCO's width is one more than x2 - x1.
    area: in square pixels; that of the box where None.
  """
  visibility = np.asarray(visibility, np.int64)
  points = np.where(visibility[:, None] > 0, np.asarray(keypoints, np.float64), 0.0)
  x1, y1, x2, y2 = np.asarray(box, np.float64).tolist()
  w, h = x2 - x1 + 1, y2 - y1 + 1
  return {
    'id': number,
    'image_id': image_id,
    'category_id': CATEGORY_ID,
    'iscrowd': 0,
    'bbox': [x1, y1, w, h],
    'area': w * h if area is None else float(area),
    'num_keypoints': int((visibility > 0).sum()),
    'keypoints': [
      value
      for (x, y), v in zip(points.tolist(), visibility.tolist(), strict=True)
      for value in (x, y, v)
    ],
  }


def write(
  path: str,
  skeleton: Skeleton,
  images: Sequence[dict[str, Any]],
  annotations: Sequence[dict[str, Any]],
  info: dict[str, Any],
) -> list[str]:
  """Write the file, whole or not at all, and the skeleton's beside it where it is nobody's known one.

  Returns:
    The paths written, the annotations' first.
  """
  dataset = {
    'info': info,
    'images': list(images),
    'annotations': list(annotations),
    'categories': [category(skeleton)],
  }
  contents, own = {path: dataset}, skeleton_file(skeleton)
  if own is not None:
    contents[f'{os.path.splitext(path)[0]}-skeleton.json'] = own
  for name, content in contents.items():
    with files.replacing(name) as temporary, open(temporary, 'w', encoding='utf-8') as file:
      json.dump(content, file)
  return list(contents)
