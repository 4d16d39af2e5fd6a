"""The main job: a compact DenseNet heatmap net on drawn people; nothing to download.

    python main.py --config=configs/pose_densenet.py
"""

from configs import common


def get_config(arg=None):
  """Return the experiment; `:smoke` for two steps."""
  arg = common.parse_arg(arg)
  config = common.get_default()
  config.num_steps = 2000
  config.batch_size = 32
  config.eval_every_steps = 250
  config.checkpoint_every_steps = 250
  config.data.crop_size = (128, 96)
  config.data.augment = {'name': 'none', 'flip': 0.5}
  config.model = {
    'name': 'pose_densenet_compact',
    'growth': 16,
    'block_layers': (2, 4, 6),
    'stem_features': 32,
    'head_features': 64,
  }
  config.codec = {'name': 'msra', 'sigma': 1.5}
  config.loss = {'name': 'mse', 'foreground_weight': 10.0}
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = 100
  config.optimizer.clip_norm = 1.0
  if arg.smoke:
    common.smoke(config)
    config.model.update(growth=4, block_layers=(1, 1), stem_features=8, head_features=8)
  return config
