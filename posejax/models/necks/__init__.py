"""Necks: feature maps by their stride to others, between a backbone and a head."""

import flax.linen as nn

from posejax.models.necks.top_down import TopDown

__all__ = ['NECKS', 'TopDown']

NECKS: dict[str, type[nn.Module]] = {
  'top_down': TopDown,
}
