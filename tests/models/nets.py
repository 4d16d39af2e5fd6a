"""Small nets of every kind, and pictures that they take."""

import jax
import numpy as np

NETS = {
  'pose_densenet_compact': ({'growth': 4, 'block_layers': (1, 2), 'stem_features': 8}, (32, 24)),
  'pose_densenet121': ({'head_features': (8,)}, (64, 32)),
  'pose_resnet18': ({'head_features': (8,)}, (64, 32)),
  'pose_resnet18_v2': ({'head_features': (8,)}, (64, 32)),
  'pose_hrnet_w32': ({'modules': (0, 0, 1), 'blocks': 1}, (64, 32)),
  'fcn8s': ({'width': 1 / 16}, (64, 32)),
  'regression_cnn': ({'features': (4, 6), 'hidden': 8}, (32, 24)),
  'regression_resnet18': ({}, (64, 32)),
  'posejax_movenet_lightning': ({'batch_norm': True}, (64, 32)),
  'nanodet_g': ({}, (64, 32)),
  'keypoint_rcnn_light': (
    {
      'backbone': {'name': 'densenet_compact', 'growth': 4, 'block_layers': (1, 2)},
      'features': 8,
      'hidden': 16,
      'keypoint_features': (8,),
    },
    (64, 32),
  ),
  'rtmdet_nano': ({'num_classes': 2}, (64, 32)),
  'svhn_cnn': ({}, (24, 32)),
  'net': (
    {
      'backbone': {'name': 'densenet_compact', 'growth': 4, 'block_layers': (1, 2)},
      'neck': {'name': 'top_down', 'features': 8},
      'head': {'name': 'final'},
    },
    (32, 24),
  ),
}
"""Name -> keyword arguments, height and width."""


def images(name: str, batch: int = 2) -> np.ndarray:
  """Return random pictures `[batch, H, W, 3]` that the net takes."""
  return np.random.default_rng(0).normal(size=(batch, *NETS[name][1], 3)).astype(np.float32)


def shapes(model, images):
  """Return the shapes of a net's variables."""
  return jax.eval_shape(model.init, jax.random.key(0), images)


def draw(shapes):
  """Return variables with statistics far from a batch's, and kernels that keep the size of features."""
  rng = np.random.default_rng(1)

  def leaf(path, leaf):
    if path[-1].key == 'kernel':
      return rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(np.float32)
    return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(leaf, shapes)
