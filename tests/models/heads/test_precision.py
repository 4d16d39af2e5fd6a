"""What is a place is told in float32 also by a net that computes in bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models import compose
from posejax.models.heads.movenet import MoveNetHead
from posejax.models.heads.regression import RegressionHead
from posejax.models.heads.rtmdet import RTMDetHead

STRIDES = (4, 8, 16, 32)


@pytest.mark.parametrize(
  ('head', 'fields', 'places'),
  [
    (RegressionHead, {'num_keypoints': 5}, ['coordinates']),
    (MoveNetHead, {'num_keypoints': 5}, ['keypoint_regression', 'keypoint_offsets']),
    (RTMDetHead, {'features': 16}, [f'distances_{stride}' for stride in (8, 16, 32)]),
  ],
)
def test_places_are_finer_than_bfloat16(head, fields, places):
  made = head(**fields, **compose.handed(head, compose.layers_of('bfloat16', 1)))
  generator = np.random.default_rng(0)
  maps = {
    stride: jnp.asarray(generator.normal(size=(2, 96 // stride, 64 // stride, 16)), jnp.bfloat16)
    for stride in STRIDES
  }
  outputs = made.apply(made.init(jax.random.key(0), maps), maps)
  for name in places:
    y = outputs[name]
    assert y.dtype == jnp.float32
    assert (y != y.astype(jnp.bfloat16)).mean() > 0.5
