"""Necks: feature maps by their stride to others, between a backbone and a head."""

import flax.linen as nn

from posejax.models.necks.cspnext_pafpn import CSPNeXtPAFPN
from posejax.models.necks.fpn import Fpn
from posejax.models.necks.movenet_fpn import MoveNetFpn
from posejax.models.necks.nanodet_pan import NanoDetPan
from posejax.models.necks.top_down import TopDown

__all__ = ['NECKS', 'CSPNeXtPAFPN', 'Fpn', 'MoveNetFpn', 'NanoDetPan', 'TopDown']

NECKS: dict[str, type[nn.Module]] = {
  'top_down': TopDown,
  'fpn': Fpn,
  'movenet_fpn': MoveNetFpn,
  'nanodet_pan': NanoDetPan,
  'cspnext_pafpn': CSPNeXtPAFPN,
}
