"""The losses of a pose net, by the output they are about; some learn something themselves."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from posejax import losses
from posejax.codecs import movenet_targets
from posejax.models import flow
from posejax.types import Array

_FLOW = flow.RealNVP()


@dataclasses.dataclass(frozen=True)
class PoseLoss:
  """A loss, and what it learns beside the net.

  Attributes:
    fn: `(predicted, target, weights) -> [B]`, preceded by `learned` where the loss learns.
    output: the one output that `fn` is about; None where it takes all by name, as dicts.
    init: `key -> parameters` of what the loss learns; None where it learns nothing.
  """

  fn: Callable[..., jax.Array]
  output: str | None = None
  init: Callable[[jax.Array], Mapping[str, Any]] | None = None

  def __call__(
    self,
    learned: Mapping[str, Any] | None,
    predicted: Mapping[str, Array],
    targets: Mapping[str, Array],
    weights: Array,
  ) -> jax.Array:
    """Return the loss per example, `[B]`; `learned` is what `init` gave, trained since."""
    if self.output is not None:
      predicted, targets = predicted[self.output], targets[self.output]
    arguments = (predicted, targets, weights)
    return self.fn(*arguments) if self.init is None else self.fn(learned, *arguments)


def _rle(learned, predicted, target, weights) -> jax.Array:
  return losses.residual_log_likelihood(
    predicted, target, weights, lambda errors: _FLOW.apply({'params': learned}, errors)
  )


def _init_rle(key: jax.Array) -> Mapping[str, Any]:
  return _FLOW.init(key, jnp.zeros((1, 2)))['params']


LOSSES: dict[tuple[str, ...], dict[str, PoseLoss]] = {
  ('heatmaps',): {
    'mse': PoseLoss(losses.heatmap_mse, 'heatmaps'),
    'ohkm': PoseLoss(losses.heatmap_ohkm, 'heatmaps'),
  },
  ('coordinates',): {
    'mse': PoseLoss(losses.coordinate_mse, 'coordinates'),
    'smooth_l1': PoseLoss(losses.smooth_l1, 'coordinates'),
    'rle': PoseLoss(_rle, 'coordinates', _init_rle),
  },
  movenet_targets.MAPS: {'centernet': PoseLoss(movenet_targets.codec_loss)},
  ('logits',): {'cross_entropy': PoseLoss(losses.pixel_cross_entropy, 'logits')},
}
"""The outputs of a codec -> name -> loss. The first of them is what they get unless told."""
