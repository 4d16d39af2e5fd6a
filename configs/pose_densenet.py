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
  config.model.name = 'pose_densenet_compact'
  config.codec.name = 'msra'
  config.codec.sigma = 1.5
  config.loss.foreground_weight = 10.0
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup_steps = 100
  config.optimizer.clip_norm = 1.0
  if arg.smoke:
    common.smoke(config)
  return config
