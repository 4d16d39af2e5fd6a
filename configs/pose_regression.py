"""Coordinates straight from a residual CNN, without heatmaps: by squared error, smooth L1 or RLE.

    python main.py --config=configs/pose_regression.py                      # squared error, drawn people
    python main.py --config=configs/pose_regression.py:loss=rle             # or smooth_l1
    python main.py --config=configs/pose_regression.py:mpii --config.data.manual_dir=DIR
    python main.py --config=configs/pose_regression.py:small,loss=rle       # minutes on two CPU cores

Input 220x220, pixels in [0, 1]; rotation, translation, flip, brightness and contrast augmentation; a
deep CNN with max-pooling and residual connections; Adam; the learning rate is halved after 4
evaluations without a lower MAE, and the run stops after 12.

`:loss=rle` is residual log-likelihood estimation (Li et al., ICCV 2021): the net also says how sure it
is, and a normalising flow, used in training only, learns how its errors are distributed. Published on
COCO with ResNet-50 (`--config.model.name=regression_resnet50` and its own options): 54.1 AP by squared
error, 70.6 by RLE, 71.8 by heatmaps.

Hardware and result: `:small` in README.md, Results; the full form was not run here to the end.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:loss=mse|smooth_l1|rle`, a data set (`:coco`, `:mpii`, `:lspet`, `:panoptic`), `:small` for
      96x64 and a net to match, `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, loss='mse', small=False, **common.data_set_arguments())
  config = common.get_default()
  config.num_steps = 60_000
  config.eval_every_steps = 1000
  config.checkpoint_every_steps = 1000
  config.batch_size = 32
  common.use_data_set(config, arg, config.batch_size)
  config.task.crop_size = (220, 220)
  config.data.augment = {
    'name': 'none',
    'flip': 0.5,
    'rotation': 30.0,
    'shift': 0.1,
    'color': 0.5,
    'brightness': 0.3,
    'contrast': 0.3,
  }
  config.inputs.mean = (0.0, 0.0, 0.0)
  config.inputs.std = (1.0, 1.0, 1.0)
  config.model = {
    'name': 'regression_cnn',
    'sigmas': arg.loss == 'rle',
    'features': (32, 64, 128, 192, 256),
    'hidden': 256,
  }
  config.codec = {'name': 'regression'}
  config.loss = {'name': arg.loss}
  config.optimizer.learning_rate = 1e-3
  config.optimizer.reference_batch_size = None
  config.optimizer.clip_norm = 1.0
  config.optimizer.schedule = 'plateau'
  config.optimizer.step_factor = 0.5
  config.optimizer.plateau_metric = 'MAE/pixels'
  config.optimizer.plateau_patience = 4
  config.early_stopping.metric = 'MAE/pixels'
  config.early_stopping.patience = 12
  if arg.small:
    _small(config)
  if arg.smoke:
    common.smoke(config)
    config.model.features = (4, 8)
    config.model.hidden = 16
  return config


def _small(config):
  common.small(config)
  config.model.features = (16, 32, 64, 128)
  config.early_stopping.patience = 0
