"""The losses of a pose net, by the output they are about; some learn something themselves."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from posejax import losses
from posejax.models import flow
from posejax.types import Array

_FLOW = flow.RealNVP()


@dataclasses.dataclass(frozen=True)
class PoseLoss:
  """A loss, and what it learns beside the net.

  Attributes:
    fn: `(predicted, target, weights) -> [B]`, preceded by `learned` where the loss learns.
    init: `key -> parameters` of what the loss learns; None where it learns nothing.
  """

  fn: Callable[..., jax.Array]
  init: Callable[[jax.Array], Mapping[str, Any]] | None = None

  def __call__(
    self, learned: Mapping[str, Any] | None, predicted: Array, target: Array, weights: Array
  ) -> jax.Array:
    """Return the loss per example, `[B]`; `learned` is what `init` gave, trained since."""
    arguments = (predicted, target, weights)
    return self.fn(*arguments) if self.init is None else self.fn(learned, *arguments)


def _rle(learned, predicted, target, weights) -> jax.Array:
  return losses.residual_log_likelihood(
    predicted, target, weights, lambda errors: _FLOW.apply({'params': learned}, errors)
  )


LOSSES: dict[str, dict[str, PoseLoss]] = {
  'heatmaps': {'mse': PoseLoss(losses.heatmap_mse), 'ohkm': PoseLoss(losses.heatmap_ohkm)},
  'coordinates': {
    'mse': PoseLoss(losses.coordinate_mse),
    'smooth_l1': PoseLoss(losses.smooth_l1),
    'rle': PoseLoss(_rle, lambda key: _FLOW.init(key, jnp.zeros((1, 2)))['params']),
  },
  'logits': {'cross_entropy': PoseLoss(losses.pixel_cross_entropy)},
}
"""The output of a net -> name -> loss. The first of an output's is what it gets unless told."""
