"""The main job: a compact DenseNet heatmap net on drawn people; nothing to download.

    python main.py --config=configs/pose_densenet.py
    python main.py --config=configs/pose_densenet.py:large    # a net eight times as large, 81 minutes
    python main.py --config=configs/pose_densenet.py:lspet --config.data.manual_dir=DIR     # half an hour
    python main.py --config=configs/pose_densenet.py:panoptic --config.data.manual_dir=DIR

`:lspet` learns Leeds Sports Pose Extended from scratch; people there stand on their heads, so it turns
the pictures much. 5,400 pictures, the other 600 to validate: PCK@0.20/torso 0.282, 0.361, 0.396 and 0.418
after 1,000, 3,000, 5,000 and 8,000 steps (the median pose has 0.054), 24:23 minutes on two CPU cores that
did other work for the first eight. A plain ResNet-18 at 128x128 in PyTorch reached 0.20 in 28 minutes on
other pictures of the set. A first run on drawn people helps short runs: docs/finetune.md.

`:large` sees everybody once, at 128x96: PCK@0.20/torso 0.724, 0.790, 0.830, 0.849 and 0.898 after 1,000,
2,000, 3,000, 4,000 and 12,800 steps (81 minutes on two CPU cores, in which other work took turns); read
by DARK, --mode=eval --config.codec.name=dark, the last net has 0.905.

`:panoptic` is another net: DenseNet-121 with the SimpleBaseline head at 224x224, by that paper's recipe
(configs/pose_resnet.py), on CMU Panoptic. Not run here to the end.

Hardware, time and result: README.md, Results. What the recipe owes to measurements (PCK@0.20/torso):

- Muon in batches of 32 instead of Adam in batches of 16: 0.679 instead of 0.617 after 32,000 images;
  with 860,000 parameters at 128x96 0.741 instead of 0.675 after 29,000. Muon at 3e-2 in batches of 16
  had 0.600 after 32,000.
- UDP 0.717, DARK 0.712 after 1,500 steps. A net trained for MSRA for 3,000 has 0.743, and 0.756 when it
  is read by DARK.
- Under Adam, at 19,000 images: sigma 1.0 instead of 1.5 cells +0.02 and 0.8 another +0.015; learning rate
  6e-3 instead of 3e-3 +0.05 and 1e-2 to 2e-2 as good with a smaller head; a head of 32 instead of 64
  features 0.00 at 0.6 times the time.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment; `:large` for a bigger net, `:lspet` or `:panoptic`, `:smoke`."""
  arg = common.parse_arg(arg, large=False, lspet=False, panoptic=False)
  config = common.get_default()
  if arg.panoptic:
    return _panoptic(config, arg)
  common.small(config)
  config.model = {
    'name': 'pose_densenet_compact',
    'growth': 16,
    'block_layers': (2, 4, 6),
    'stem_features': 32,
    'head_features': 32,
  }
  # What :large and :lspet were measured with is MSRA's.
  config.codec = {'name': 'msra' if arg.large or arg.lspet else 'udp', 'sigma': 0.8}
  # A small net learns faster where a bump outweighs the background it stands on.
  config.loss = {'name': 'mse', 'foreground_weight': 3.0}
  config.num_steps = 3000
  config.batch_size = 32
  config.eval_every_steps = 500
  config.optimizer.name = 'muon'
  config.optimizer.learning_rate = 1.5e-2
  config.optimizer.b2 = 0.99
  config.optimizer.clip_norm = 1.0
  if arg.large:
    config.num_steps = 12_800
    config.eval_every_steps = 1000
    config.task.crop_size = (128, 96)
    # So many steps would see 8,192 people fifty times over: draw everybody anew.
    config.data.num_train_examples = None
    config.data.cache = False
    config.model.update(growth=48, block_layers=(1, 4, 8), head_features=48)
    config.optimizer.learning_rate = 3e-2
    config.optimizer.ema_decay = 0.999
  if arg.lspet:
    _lspet(config, arg)
  if arg.smoke:
    common.smoke(config)
    config.model.update(growth=4, block_layers=(1, 1), stem_features=8, head_features=8)
  return config


def _lspet(config, arg):
  common.use_data_set(config, arg)
  config.num_steps = 8000
  config.batch_size = 32
  config.eval_every_steps = 1000
  config.checkpoint_every_steps = 500
  config.task.crop_size = (96, 96)
  config.data.num_train_examples = None
  config.data.augment = {
    'name': 'none',
    'flip': 0.5,
    'rotation': 40.0,
    'scale': 0.3,
    'color': 0.5,
    'brightness': 0.2,
    'contrast': 0.2,
    'saturation': 0.3,
  }
  config.optimizer.name = 'adam'
  config.optimizer.schedule = 'cosine'
  config.optimizer.learning_rate = 1.5e-2
  config.optimizer.reference_batch_size = None


def _panoptic(config, arg):
  common.use_data_set(config, arg)
  config.model = {'name': 'pose_densenet121', 'head_features': (256, 256, 256)}
  config.codec = {'name': 'msra', 'sigma': 2.0}
  if arg.smoke:
    common.smoke(config)
    config.model.head_features = (8, 8, 8)
  return config
