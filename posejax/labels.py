"""What a net can name: classes, and the keypoints of their figures where it finds them."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton

COCO_CATEGORIES = {
  1: 'person', 2: 'bicycle', 3: 'car', 4: 'motorcycle', 5: 'airplane', 6: 'bus', 7: 'train',
  8: 'truck', 9: 'boat', 10: 'traffic light', 11: 'fire hydrant', 13: 'stop sign',
  14: 'parking meter', 15: 'bench', 16: 'bird', 17: 'cat', 18: 'dog', 19: 'horse', 20: 'sheep',
  21: 'cow', 22: 'elephant', 23: 'bear', 24: 'zebra', 25: 'giraffe', 27: 'backpack',
  28: 'umbrella', 31: 'handbag', 32: 'tie', 33: 'suitcase', 34: 'frisbee', 35: 'skis',
  36: 'snowboard', 37: 'sports ball', 38: 'kite', 39: 'baseball bat', 40: 'baseball glove',
  41: 'skateboard', 42: 'surfboard', 43: 'tennis racket', 44: 'bottle', 46: 'wine glass',
  47: 'cup', 48: 'fork', 49: 'knife', 50: 'spoon', 51: 'bowl', 52: 'banana', 53: 'apple',
  54: 'sandwich', 55: 'orange', 56: 'broccoli', 57: 'carrot', 58: 'hot dog', 59: 'pizza',
  60: 'donut', 61: 'cake', 62: 'chair', 63: 'couch', 64: 'potted plant', 65: 'bed',
  67: 'dining table', 70: 'toilet', 72: 'tv', 73: 'laptop', 74: 'mouse', 75: 'remote',
  76: 'keyboard', 77: 'cell phone', 78: 'microwave', 79: 'oven', 80: 'toaster', 81: 'sink',
  82: 'refrigerator', 84: 'book', 85: 'clock', 86: 'vase', 87: 'scissors', 88: 'teddy bear',
  89: 'hair drier', 90: 'toothbrush',
}  # fmt: skip
"""Id -> name of what COCO's boxes are of, in the order of its files: 80 of the numbers to 90.

Source: `categories` of instances_val2017.json, cocodataset.org.
"""


@dataclasses.dataclass(frozen=True)
class LabelSpace:
  """The names behind a net's numbers; kept in every checkpoint.

  Attributes:
    class_names: by label, unique: `('person',)` for people, ten digits for house numbers.
    skeleton: of the figures whose keypoints are found; None where pictures are only classified or
      things only boxed.
    category_ids: of the classes in files of COCO's form: those of the file that was learnt from, COCO's
      of its 80 classes, else 1, 2, ...
  """

  class_names: tuple[str, ...]
  skeleton: Skeleton | None = None
  category_ids: tuple[Any, ...] = dataclasses.field(default=(), compare=False)

  def __post_init__(self):
    object.__setattr__(self, 'class_names', tuple(self.class_names))
    ids = tuple(self.category_ids) or numbers(self.class_names)
    object.__setattr__(self, 'category_ids', ids)
    if not self.class_names or len(set(self.class_names)) != len(self.class_names):
      raise PosejaxError(f'Class names must be unique, and at least one: {self.class_names}.')

  @property
  def keypoints(self) -> tuple[str, ...]:
    """Names of the keypoints; empty without a skeleton."""
    return self.skeleton.keypoints if self.skeleton else ()

  def to_json(self) -> dict[str, Any]:
    """Return what `from_json` reads."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, values: dict[str, Any]) -> 'LabelSpace':
    """Return the label space that `to_json` wrote."""
    skeleton = values['skeleton']
    ids = values.get('category_ids', ())  # older runs have none
    return cls(values['class_names'], skeleton and Skeleton(**skeleton), ids)


def numbers(class_names: Sequence[str]) -> tuple[int, ...]:
  """Return ids for classes that no file numbers: COCO's of its 80, else 1, 2, ..."""
  if tuple(class_names) == tuple(COCO_CATEGORIES.values()):
    return tuple(COCO_CATEGORIES)
  return tuple(range(1, len(class_names) + 1))


def keypoint_classes(source: Any) -> tuple[str, ...]:
  """Return names of a source's classes whose things have keypoints: all, unless the source says."""
  return getattr(source, 'keypoint_classes', source.label_space.class_names)


def people(skeleton: Skeleton) -> LabelSpace:
  """Return the label space of people, or whatever else one skeleton is the figure of."""
  return LabelSpace(('person',), skeleton)
