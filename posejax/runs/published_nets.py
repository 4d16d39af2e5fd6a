"""Published nets as saved runs are read: config, variables, and what their numbers stand for."""

from collections.abc import Callable, Mapping
import dataclasses
from functools import partial

import jax.numpy as jnp
import numpy as np

from posejax import labels, models, skeletons, weights
from posejax.config import Config
from posejax.models import movenet
from posejax.runs import net_file
from posejax.runs.saved_net import SavedNet
from posejax.tasks.net import normalize
from posejax.weights import get
from posejax.weights.families import movenet as movenet_weights
from posejax.weights.published import SHIPPED

THRESHOLD = 0.3
"""Source: MoveNet's model card, tfhub.dev/google/movenet/singlepose/lightning/4."""
BOX_PADDING = 1.25
"""Source: measured, docs/movenet.md; where people stand close together, 1.0 is better."""
MIN_SCORE = 0.15
"""Score from which on MultiPose's people are somebody.

On 125 pictures of COCO's val2017, at IoU 0.5, it finds 0.36 of 146 people, 0.61 of the 82 with labelled
keypoints, and 0.85 of its boxes are right; from 0.1 on it would be 0.43, 0.72 and 0.73, from 0.2 on 0.28,
0.50 and 0.93.
"""


def _movenet(variant: str, path: str) -> SavedNet:
  """Return a MoveNet, its batch norms folded in."""
  traits = movenet.VARIANTS[variant]
  task = {'crop_size': traits.input_size}
  if traits.boxes:
    codec = 'movenet_multipose'
    task |= {'name': 'detection', 'fill': (0, 0, 0), 'centered': True, 'averaged': True}
  else:
    # Read off one look, as it is published.
    codec = 'movenet'
    task |= {'name': 'pose', 'flip': False, 'box_padding': BOX_PADDING}
  config = Config.from_dict(
    {
      'task': task,
      'model': {'name': f'posejax_movenet_{variant}'},
      'codec': {'name': codec},
      'inputs': {'mean': movenet.INPUT_MEAN, 'std': movenet.INPUT_STD},
    }
  )
  tensors = weights.load(path)
  # What is in the cache was compared with its digest when it came.
  known = movenet_weights.variant(tensors) == variant
  variables = movenet_weights.to_variables(tensors, movenet.posejax_movenet(variant), known)
  people = labels.people(skeletons.COCO)
  min_score = MIN_SCORE if traits.boxes else None
  return SavedNet(f'MoveNet {variant}', config, variables, people, THRESHOLD, min_score)


NETS: Mapping[str, Callable[[str], SavedNet]] = {
  SHIPPED: net_file.read,
  'movenet_lightning': partial(_movenet, 'lightning'),
  'movenet_thunder': partial(_movenet, 'thunder'),
  'movenet_multipose': partial(_movenet, 'multipose'),
}
"""Name, as of the weights -> what reads the net from its file, of nets that find poses."""


def read(name: str) -> SavedNet:
  """Return a published net, of which nothing says how it was trained.

  Args:
    name: of `NETS`.

  Raises:
    PosejaxError: the weights are not in the cache, or are of another net.
  """
  return NETS[name](get.path(name))


def with_norms(net: SavedNet, images: np.ndarray) -> SavedNet:
  """Return a MoveNet with batch norms behind its convolutions again, to train it on: the same function.

  Args:
    net: with its batch norms folded in.
    images: uint8 RGB `[B, H, W, 3]`, some dozens of those to train on: the norms' statistics are theirs.
  """
  net = net.changed('model', batch_norm=True)
  inputs = normalize(jnp.asarray(images), **dataclasses.asdict(net.config.inputs))
  model = models.create(**net.config.model)
  return net._replace(variables=movenet_weights.unfold(model, net.variables, inputs))
