"""A predictor that truly looks, without training: it finds patches of `tests.web.beacons`."""

import jax.numpy as jnp
import numpy as np

from posejax import codecs
from posejax.data.transforms import augment, crops
from posejax.infer.predictor import Predictor
from posejax.tasks import Task
from tests.web import beacons

CROP = (128, 96)


def _infer(variables, images):
  """Return the middle of every patch, surer the more there is of its colour."""
  del variables
  H, W = CROP
  differences = images.astype(jnp.float32)[..., None, :] - beacons.COLORS.astype(np.float32)
  weights = jnp.maximum(60 - jnp.abs(differences).sum(-1), 0)
  total = weights.sum((1, 2))
  grid = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1).astype(np.float32)
  points = jnp.einsum('bhwk,hwc->bkc', weights, grid) / (total[..., None] + 1e-3)
  return {
    'keypoints_crop': points,
    'scores': jnp.minimum(total / 100, 1),
    'heatmaps': weights[:, 2::4, 2::4] / 60,
  }


def predictor(**options) -> Predictor:
  """Return it; `options` are those of `Predictor`."""
  skeleton = beacons.LABELS.skeleton
  crop = crops.CropPerson(skeleton, CROP, 'msra', augment.create('none'))
  task = Task(
    labels=beacons.LABELS,
    input_size=CROP,
    init=None,
    loss=None,
    infer=_infer,
    transform_train=crop,
    transform_eval=crop,
    view=crop.view,
    draw=None,
    codec=codecs.create('msra', crop_size=CROP, heatmap_size=(32, 24), sigma=2.0),
    box_padding=crop.box_padding,
  )
  return Predictor(task, {}, **{'name': 'finder', **options})
