"""A task that compiles in a second: two dense layers that learn points from pictures."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from posejax.models import layers
from posejax.tasks.base import Aux, Task

SHAPE = (6, 4, 3)


class Net(nn.Module):
  """Parameters: `first`, `norm` where there is one, `second`."""

  norm: bool
  group_size: int | None = None

  @nn.compact
  def __call__(self, images, train=False):
    x = nn.Dense(32, use_bias=not self.norm, name='first')(images.reshape(len(images), -1) / 255.0)
    if self.norm:
      x = layers.BatchNorm(self.group_size, name='norm')(x, train)
    return nn.Dense(8, name='second')(nn.tanh(x))


def create(norm: bool = False, group_size: int | None = None, counted: bool = False) -> Task:
  """Return it; what it learns is `batch['points']`, `[B, 8]`.

  Args:
    norm: whether the net has a batch norm.
    group_size: of that.
    counted: whether only points near to the net's count, over the number of those in the whole batch.
  """
  net = Net(norm, group_size)

  def loss(variables, batch, key, total):
    del key
    points, state = net.apply(variables, batch['images'], True, mutable=['batch_stats'])
    errors = jnp.abs(points - batch['points'])
    example_losses = errors.mean(-1)
    if counted:
      near = errors < 0.5
      count, examples = total((near.sum(dtype=jnp.float32), jnp.float32(len(errors))))
      example_losses = (errors * near).sum(-1) * examples / count
    return example_losses.mean(), Aux(state, {'largest': points.max()}, example_losses)

  nowhere: dict[str, Any] = dict.fromkeys(
    ('infer', 'transform_train', 'transform_eval', 'view', 'draw')
  )
  return Task(
    labels=None,
    input_size=SHAPE[:2],
    init=lambda key: net.init(key, jnp.zeros((1, *SHAPE))),
    loss=loss,
    **nowhere,
  )


def batch(size: int, seed: int = 0) -> dict[str, np.ndarray]:
  rng = np.random.default_rng(seed)
  return {
    'images': rng.integers(0, 256, (size, *SHAPE), np.uint8),
    'points': rng.normal(size=(size, 8)).astype(np.float32),
  }


def variables(task: Task) -> dict[str, Any]:
  return jax.tree.map(np.asarray, dict(task.init(jax.random.key(0))))
