"""Published nets as saved runs are read: config, variables, and what their numbers stand for."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from posejax import labels, models, skeletons
from posejax import weights as checkpoints
from posejax.config import Config
from posejax.labels import LabelSpace
from posejax.models import movenet
from posejax.tasks import net
from posejax.types import Variables
from posejax.weights import get
from posejax.weights.families import movenet as movenet_weights

NETS: Mapping[str, str] = {
  'movenet_lightning': 'lightning',
  'movenet_thunder': 'thunder',
  'movenet_multipose': 'multipose',
}
"""Name, as of the weights -> variant, of the nets that find poses; multipose everybody's at once."""
BOX_PADDING = 1.25
"""Source: measured, docs/movenet.md; where people stand close together, 1.0 is better."""


class PublishedNet(NamedTuple):
  """What a published net is, as of a run.

  Attributes:
    name: for people.
    config: of the net; nothing of it says how it was trained, which is not known.
    variables: NumPy.
    labels: what its outputs stand for.
  """

  name: str
  config: Config
  variables: Variables
  labels: LabelSpace


def read(name: str) -> PublishedNet:
  """Return a published net whose weights are in the cache, its batch norms folded in.

  Args:
    name: of `NETS`.

  Raises:
    PosejaxError: the weights are not in the cache, or are of another net.
  """
  variant = NETS[name]
  known = movenet.VARIANTS[variant]
  task = {'crop_size': known.input_size, 'box_padding': BOX_PADDING}
  # One person's is read off one look, as it is published.
  task |= {'name': 'everybody'} if known.boxes else {'name': 'pose', 'flip': False}
  config = Config.from_dict(
    {
      'task': task,
      'model': {'name': f'posejax_movenet_{variant}'},
      'codec': {'name': 'movenet'},
      'inputs': {'mean': movenet.INPUT_MEAN, 'std': movenet.INPUT_STD},
    }
  )
  tensors = checkpoints.load(get.path(name))
  variables = movenet_weights.to_variables(tensors, movenet.posejax_movenet(variant))
  return PublishedNet(f'MoveNet {variant}', config, variables, labels.people(skeletons.COCO))


def with_norms(published: PublishedNet, images: np.ndarray) -> PublishedNet:
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
