"""Published nets as saved runs are read: config, variables, and what their numbers stand for."""

from collections.abc import Mapping
import dataclasses

import jax.numpy as jnp
import numpy as np

from posejax import labels, models, skeletons, weights
from posejax.config import Config
from posejax.models import movenet
from posejax.runs import net_file
from posejax.runs.net_file import SavedNet
from posejax.tasks import net
from posejax.weights import get
from posejax.weights.families import movenet as movenet_weights
from posejax.weights.published import SHIPPED

NETS: Mapping[str, str] = {
  SHIPPED: '',
  'movenet_lightning': 'lightning',
  'movenet_thunder': 'thunder',
  'movenet_multipose': 'multipose',
}
"""Name, as of the weights -> variant of MoveNet, of the nets that find poses, multipose everybody's."""
THRESHOLD = 0.3
"""Source: MoveNet's model card, tfhub.dev/google/movenet/singlepose/lightning/4."""
BOX_PADDING = 1.25
"""Source: measured, docs/movenet.md; where people stand close together, 1.0 is better."""


def read(name: str) -> SavedNet:
  """Return a published net, of which nothing says how it was trained.

  MoveNet's weights are taken from the cache, its batch norms folded in.

  Args:
    name: of `NETS`.

  Raises:
    PosejaxError: the weights are not in the cache, or are of another net.
  """
  if name == SHIPPED:
    return net_file.read(get.path(name))
  variant = NETS[name]
  known = movenet.VARIANTS[variant]
  task = {'crop_size': known.input_size}
  if known.boxes:
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
  tensors = weights.load(get.path(name))
  variables = movenet_weights.to_variables(tensors, movenet.posejax_movenet(variant))
  people = labels.people(skeletons.COCO)
  return SavedNet(f'MoveNet {variant}', config, variables, people, THRESHOLD)


def with_norms(published: SavedNet, images: np.ndarray) -> SavedNet:
  """Return the same function with batch norms behind its convolutions again, to train it on.

  Args:
    published: with its batch norms folded in.
    images: uint8 RGB `[B, H, W, 3]`, some dozens of those to train on: the norms' statistics are theirs.
  """
  options = {**published.config.model, 'batch_norm': True}
  inputs = dataclasses.asdict(published.config.inputs)
  variables = movenet_weights.unfold(
    models.create(**options), published.variables, net.normalize(jnp.asarray(images), **inputs)
  )
  config = dataclasses.replace(published.config, model=options)
  return published._replace(config=config, variables=variables)
