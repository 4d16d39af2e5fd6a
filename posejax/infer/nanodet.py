"""NanoDet-g, a published detector, ready to find people."""

import jax
import numpy as np

from posejax import weights as checkpoints
from posejax.codecs import nanodet as codec
from posejax.data.transforms import augment
from posejax.data.transforms.canvas import Canvas
from posejax.geometry import affine
from posejax.infer.results import DetectFn
from posejax.models import nanodet
from posejax.tasks import net
from posejax.weights import get
from posejax.weights.families import nanodet as family

THRESHOLD = 0.4
"""Score from which on a box is looked into.

On 125 pictures of COCO's val2017, at IoU 0.5, it finds 0.59 of 146 people and 0.79 of its boxes are
right; from 0.3 on it would be 0.71 and 0.57, from 0.5 on 0.40 and 0.89.
"""


def detector(threshold: float = THRESHOLD) -> DetectFn:
  """Return NanoDet-g as a detector of people: `picture -> (boxes [N, 4], scores [N])`.

  Args:
    threshold: score of the boxes that are returned.

  Raises:
    PosejaxError: the weights are not in the cache, or are of another net.
  """
  model = nanodet.nanodet_g()
  variables = family.to_variables(checkpoints.load(get.path('nanodet')), model)
  variables = jax.device_put(variables)
  plain = augment.create('none')
  canvas = Canvas(nanodet.INPUT_SIZE, 1, (0, 0, 0), plain, centered=True, averaged=True)

  @jax.jit
  def apply(variables, images):
    images = net.normalize(images, nanodet.INPUT_MEAN, nanodet.INPUT_STD, 'bgr')
    boxes, scores = codec.decode(model.apply(variables, images))
    return boxes, scores[..., codec.PERSON]

  def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shown, to_image = canvas.view(image, None)
    boxes, scores = apply(variables, shown[None])
    boxes, scores = codec.select(boxes[0], scores[0], threshold)
    h, w = image.shape[:2]
    boxes = affine.transform_points(boxes.reshape(-1, 2, 2), to_image).reshape(-1, 4)
    boxes = np.clip(boxes, 0, (w - 1, h - 1, w - 1, h - 1)).astype(np.float32)
    return boxes, scores

  return detect
