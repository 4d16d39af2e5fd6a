"""MoveNet, trained from scratch or fine-tuned: a light net for phones and web pages.

    python main.py --config=configs/pose_movenet.py                 # Lightning, drawn people
    python main.py --config=configs/pose_movenet.py:thunder,coco --config.data.manual_dir=DIR
    python main.py --config=configs/pose_movenet.py:finetune,lspet --config.data.manual_dir=DIR
    python main.py --config=configs/pose_movenet.py:finetune --config.data.annotations=FILE.json \
      --config.data.images=DIR                                      # a skeleton of one's own

DIR holds the data set as its authors ship it; a message says which files go where.

From scratch the nets of docs/movenet.md have batch norms to be trained. No recipe was published for them:
this has CenterNet's losses (arXiv:1904.07850), Adam, and the schedule and augmentation of the heatmap
nets here; not run here to the end.

`finetune` starts from the published weights (`posejax weights get movenet_lightning`), with their norms
folded in, and takes minutes to an hour on two CPU cores: docs/finetune.md has the figures.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:finetune` to start from the published weights, `:thunder` for the larger net, a data set
      (`:coco`, `:mpii`, `:lspet`, `:panoptic`), `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, thunder=False, finetune=False, **common.data_set_arguments())
  config = common.get_default()
  common.published(config, arg)
  variant, side = ('thunder', 256) if arg.thunder else ('lightning', 192)
  config.task.crop_size = (side, side)
  config.model = {'name': f'posejax_movenet_{variant}', 'batch_norm': not arg.finetune}
  config.inputs.mean = config.inputs.std = (0.5, 0.5, 0.5)
  config.codec = {'name': 'movenet', 'sigma': 1.25}
  if arg.finetune:
    _finetune(config, variant)
  if arg.smoke:
    common.smoke(config)
    # The whole net compiles for a minute; the head and its losses are what is its own.
    config.task.crop_size = (64, 32)
    if not arg.finetune:
      config.model = {
        'name': 'net',
        'backbone': {'name': 'densenet_compact', 'growth': 4, 'block_layers': (1, 1)},
        'head': {'name': 'movenet'},
      }
  return config


def _finetune(config, variant):
  """Set what a few thousand people and an hour on two CPU cores are enough for."""
  config.init_from = f'movenet_{variant}'
  # Published is 1.8: in crops of one person in any attitude the heatmaps know better than the regression.
  config.codec.reach = 16.0
  config.num_steps = 4000
  config.batch_size = 16
  config.log_every_steps = 50
  config.eval_every_steps = 250
  config.checkpoint_every_steps = 250
  config.evaluate.batch_size = 50
  config.data.augment = {'name': 'msra', 'rotation': 60.0, 'rotation_probability': 0.8}
  config.optimizer.learning_rate = 1e-3
  config.optimizer.reference_batch_size = 16
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 100
  config.optimizer.clip_norm = 10.0
  config.optimizer.ema_decay = 0.998
  # Adam moves every value by about the learning rate, and the published kernels, norms folded in, differ
  # in size: the median is 0.002 and 0.0012 in two of the neck, 0.05 in the backbone and 0.8 in the heads.
  # What the first layers see is the same for every skeleton, and half of a step's time is theirs.
  config.optimizer.lr_scales = {
    'backbone': 0.05,
    'backbone/conv1': 0,
    'backbone/block[0-5]': 0,
    'head/*/final': 3,
    'neck': 0.5,
    'neck/pointwise_c4': 0.003,
    'neck/pointwise_c3': 0.05,
    'neck/pointwise_c2': 0.002,
  }
