"""ResNet with the SimpleBaseline head, the published recipe's net, on drawn people.

    python main.py --config=configs/pose_resnet.py                 # ResNet-18
    python main.py --config=configs/pose_resnet.py:depth=50,v2     # pre-activation ResNet-50

Recipe: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking" (ECCV 2018): Adam 1e-3
for 32 x 4 examples, times 0.1 at 90 and 120 of 140 epochs, MSRA heatmaps of sigma 2 at stride 4, flip
0.5, rotation and scale augmentation. Input 256x192.

Hardware and result: not run to the end; a step takes seconds on two CPU cores. For a first result on
a laptop use configs/pose_densenet.py.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment; `:depth=18|34|50|101|152`, `:v2` for pre-activation, `:smoke`."""
  arg = common.parse_arg(arg, depth=18, v2=False)
  config = common.get_default()
  config.num_steps = 20_000
  config.batch_size = 32
  config.eval_every_steps = 1000
  config.checkpoint_every_steps = 1000
  config.data.crop_size = (256, 192)
  config.data.augment = {'name': 'msra'}
  config.model.name = f'pose_resnet{arg.depth}' + ('_v2' if arg.v2 else '')
  config.model.head_features = (256, 256, 256)
  config.codec = {'name': 'msra', 'sigma': 2.0}
  config.optimizer.learning_rate = 1e-3
  config.optimizer.reference_batch_size = 128
  config.optimizer.schedule = 'step'
  if arg.smoke:
    common.smoke(config)
    config.model.head_features = (8, 8, 8)
  return config
