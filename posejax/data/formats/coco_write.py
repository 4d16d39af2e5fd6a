"""Annotations written in COCO's JSON format, as `coco_read` and `coco_file` read them."""

from collections.abc import Mapping, Sequence
import json
import os
from typing import Any

import numpy as np

from posejax import files
from posejax.skeletons import SKELETONS, Skeleton
from posejax.types import OF_ONE, Picture

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


def everybody(picture: Picture) -> list[dict[str, Any]]:
  """Return each instance of a picture as an Example has one person's, with `label` and `crowd`."""
  keys = {key: name for key, name in OF_ONE.items() if key in picture}
  return [
    {name: picture[key][n] for key, name in keys.items()} for n in range(len(picture['boxes']))
  ]


def annotation(
  number: Any, image_id: Any, one: Mapping[str, Any], category_id: Any = CATEGORY_ID
) -> dict[str, Any]:
  """Return the annotation of a person or a thing; it reads back to the same arrays.

  Args:
    number: its id.
    image_id: of its picture.
    one: an Example, or one of `everybody`. Its `box` lies on the outermost pixels, so that COCO's width
      is one more than x2 - x1. Without `area` that of the box is written, without `crowd` none, without
      `keypoints` and `visibility` no keypoints; what is not labelled is written as 0.
    category_id: what it is.
  """
  x1, y1, x2, y2 = np.asarray(one['box'], np.float64).tolist()
  w, h = x2 - x1 + 1, y2 - y1 + 1
  written = {
    'id': number,
    'image_id': image_id,
    'category_id': category_id,
    'iscrowd': int(one.get('crowd', 0)),
    'bbox': [x1, y1, w, h],
    'area': float(one['area']) if one.get('area') is not None else w * h,
  }
  if 'keypoints' not in one:
    return written
  visibility = np.asarray(one['visibility'], np.int64)
  points = np.where(visibility[:, None] > 0, np.asarray(one['keypoints'], np.float64), 0.0)
  return {
    **written,
    'num_keypoints': int((visibility > 0).sum()),
    'keypoints': [
      value
      for (x, y), v in zip(points.tolist(), visibility.tolist(), strict=True)
      for value in (x, y, v)
    ],
  }


def write(
  path: str,
  categories: Sequence[dict[str, Any]],
  skeleton: Skeleton | None,
  images: Sequence[dict[str, Any]],
  annotations: Sequence[dict[str, Any]],
  info: dict[str, Any],
) -> list[str]:
  """Write the file, whole or not at all, and the skeleton's beside it where it is nobody's known one.

  Args:
    path: of the file.
    categories: such as `category` gives.
    skeleton: of those with keypoints, if any.
    images: `{'id', 'file_name', 'height', 'width'}` each.
    annotations: such as `annotation` gives.
    info: what the file says of itself.

  Returns:
    The paths written, the annotations' first.
  """
  dataset = {
    'info': info,
    'images': list(images),
    'annotations': list(annotations),
    'categories': list(categories),
  }
  contents, own = {path: dataset}, skeleton and skeleton_file(skeleton)
  if own is not None:
    contents[f'{os.path.splitext(path)[0]}-skeleton.json'] = own
  for name, content in contents.items():
    with files.replacing(name) as temporary, open(temporary, 'w', encoding='utf-8') as file:
      json.dump(content, file)
  return list(contents)
