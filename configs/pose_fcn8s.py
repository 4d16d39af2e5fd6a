"""FCN-8s: every pixel is a keypoint's or background, by a VGG16 and a decoder with skips.

    python main.py --config=configs/pose_fcn8s.py
    python main.py --config=configs/pose_fcn8s.py:coco --config.data.manual_dir=DIR
    python main.py --config=configs/pose_fcn8s.py:small       # a quarter of the channels, 96x64

Net: Long et al., "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015) on torchvision's
VGG16 with batch norm (`--config.model.batch_norm=False` without), skips from pool3, pool4 and pool5.
Targets: a disc around every keypoint, else background. A disc of radius 8 is a four-hundredth of a
256x192 crop, so that all keypoints together cover a twentieth: keypoints and background each get half
of the loss (`--config.loss.background_share`), and `--config.loss.focus=2` is the focal loss.

Hardware and result: `:small` in README.md, Results; the full form was not run here to the end. There is
no published figure for FCN-8s on keypoints.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: a data set (`:coco`, `:mpii`, `:lspet`, `:panoptic`), `:small` for a quarter of the channels and
      96x64, `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, small=False, **common.data_set_arguments())
  config = common.get_default()
  common.published(config, arg)
  config.model = {'name': 'fcn8s', 'batch_norm': True, 'width': 1.0}
  config.codec = {'name': 'discs', 'radius': 8.0}
  config.loss = {'name': 'cross_entropy', 'background_share': 0.5, 'focus': 0.0}
  if arg.small:
    _small(config)
  if arg.smoke:
    common.smoke(config)
    config.task.crop_size = (64, 32)
    config.model.width = 1 / 16
    config.codec.radius = 3.0
  return config


def _small(config):
  common.small(config)
  config.model.width = 0.25
  config.codec.radius = 3.0
  config.optimizer.learning_rate = 3e-3
  config.optimizer.reference_batch_size = None
  config.optimizer.clip_norm = 1.0
