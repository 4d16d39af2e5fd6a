"""What a net scores on labelled people, to see what a smaller form of it costs."""

from collections.abc import Mapping

import numpy as np

from posejax.data.formats import decode
from posejax.data.sources.coco_file import CocoFile
from posejax.data.sources.people import People
from posejax.geometry import affine
from posejax.metrics import pck
from posejax.tasks import Task


class Labelled:
  """People of a COCO-format keypoint file as a net sees them.

  Attributes:
    crops: uint8 `[N, H, W, 3]`.
  """

  def __init__(self, annotations: str, images: str, task: Task):
    """Read everybody.

    Args:
      annotations: path of the file.
      images: folder of its pictures.
      task: of the net, with a skeleton, which is that of the file.

    Raises:
      PosejaxError: as `CocoFile` and `People`.
    """
    self._skeleton = task.labels.skeleton
    source = People(CocoFile(annotations, images, self._skeleton))
    self._people = [source.labels(i) for i in range(len(source))]
    pictures = (decode.decode_image(source[i]['image']) for i in range(len(source)))
    views = [
      task.view(image, one['box']) for image, one in zip(pictures, self._people, strict=True)
    ]
    self.crops, self._crop_to_image = (np.stack(column) for column in zip(*views, strict=True))

  def pck(self, found: Mapping[str, np.ndarray], places: slice) -> float:
    """Return PCK@0.20/box of `keypoints` `[M, K, 2]` in crops, those at `places` among all."""
    keypoints, visibility, boxes = (
      np.stack([one[name] for one in self._people[places]])
      for name in ('keypoints', 'visibility', 'box')
    )
    predicted = affine.transform_points(found['keypoints'], self._crop_to_image[places])
    everybody = np.ones(len(predicted))
    sums = pck.pck_sums(predicted, keypoints, visibility, boxes, everybody, self._skeleton)
    return pck.summarize_pck(sums, self._skeleton)['PCK@0.20/box']
