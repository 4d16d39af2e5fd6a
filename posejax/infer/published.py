"""Published nets, ready to use: MoveNet for poses, NanoDet-g for boxes."""

import jax
import numpy as np

from posejax import weights as checkpoints
from posejax.codecs import nanodet as nanodet_codec
from posejax.data.transforms import augment
from posejax.data.transforms.canvas import Canvas
from posejax.geometry import affine
from posejax.infer.predictor import DetectFn, Predictor
from posejax.models import nanodet
from posejax.runs import published_nets
from posejax.tasks import net
from posejax.weights import get
from posejax.weights.families import nanodet as nanodet_weights

EVERYBODY = 0.15
"""Score from which on MultiPose's people are somebody.

On 125 pictures of COCO's val2017, at IoU 0.5, it finds 0.36 of 146 people, 0.61 of the 82 with labelled
keypoints, and 0.85 of its boxes are right; from 0.1 on it would be 0.43, 0.72 and 0.73, from 0.2 on 0.28,
0.50 and 0.93.
"""
DETECTED = 0.4
"""Score from which on a box is looked into.

On 125 pictures of COCO's val2017, at IoU 0.5, it finds 0.59 of 146 people and 0.79 of its boxes are
right; from 0.3 on it would be 0.71 and 0.57, from 0.5 on 0.40 and 0.89.
"""


def predictor(
  name: str, *, flip: bool | None = None, reach: float | None = None, **options
) -> Predictor:
  """Return a published net, ready to run, for COCO's 17 keypoints.

  Args:
    name: of `posejax.runs.published_nets.NETS`, whose weights are shipped or in the cache.
    flip: average with the prediction for the mirrored crop, at twice the time; as the net is meant to be
      used where None.
    reach: in cells, how far from where the regression expects a keypoint a probability counts half
      (`posejax.codecs.movenet`); as published, 1.8, where None.
    **options: of `Predictor`.

  Raises:
    PosejaxError: the weights are not in the cache, or are of another net.
  """
  chosen = published_nets.read(name)
  if flip is not None:
    chosen = chosen.with_flip(flip)
  if reach is not None:
    chosen = chosen.with_reach(reach)
  return Predictor.of(chosen, **{'min_score': EVERYBODY, **options})


def nanodet_detector(threshold: float = DETECTED) -> DetectFn:
  """Return NanoDet-g as a detector of people: `picture -> (boxes [N, 4], scores [N])`.

  Args:
    threshold: score of the boxes that are returned.

  Raises:
    PosejaxError: the weights are not in the cache, or are of another net.
  """
  model = nanodet.nanodet_g()
  variables = nanodet_weights.to_variables(checkpoints.load(get.path('nanodet')), model)
  variables = jax.device_put(variables)
  plain = augment.create('none')
  canvas = Canvas(nanodet.INPUT_SIZE, 1, (0, 0, 0), plain, centered=True, averaged=True)

  @jax.jit
  def apply(variables, images):
    images = net.normalize(images, nanodet.INPUT_MEAN, nanodet.INPUT_STD, 'bgr')
    boxes, scores = nanodet_codec.decode(model.apply(variables, images))
    return boxes, scores[..., nanodet_codec.PERSON]

  def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shown, to_image = canvas.view(image, None)
    boxes, scores = apply(variables, shown[None])
    boxes, scores = nanodet_codec.select(boxes[0], scores[0], threshold)
    h, w = image.shape[:2]
    boxes = affine.transform_points(boxes.reshape(-1, 2, 2), to_image).reshape(-1, 4)
    boxes = np.clip(boxes, 0, (w - 1, h - 1, w - 1, h - 1)).astype(np.float32)
    return boxes, scores

  return detect
