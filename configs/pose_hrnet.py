"""HRNet: the published recipe's net, on drawn people or a public data set.

    python main.py --config=configs/pose_hrnet.py                  # HRNet-W32, drawn people
    python main.py --config=configs/pose_hrnet.py:width=48,coco --config.data.manual_dir=DIR
    python main.py --config=configs/pose_hrnet.py:mpii --config.data.manual_dir=DIR
    python main.py --config=configs/pose_hrnet.py:lspet --config.data.manual_dir=DIR
    python main.py --config=configs/pose_hrnet.py:panoptic --config.data.manual_dir=DIR
    posejax convert pose_hrnet_w32_256x192.pth --config=configs/pose_hrnet.py:coco --workdir=RUN

DIR holds the data set as its authors ship it; a message says which files go where.

Recipe: Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation" (CVPR 2019):
Adam 1e-3 for 32 x 4 examples, times 0.1 at 170 and 200 of 210 epochs, MSRA heatmaps of sigma 2 at
stride 4, flip test with shift; on COCO rotation 45, scale 0.35 and half bodies. Published for W32 and
W48 on COCO at 256x192: AP 74.4 and 75.1 (detected boxes, from ImageNet weights); for W32 on MPII:
PCKh@0.50 0.903.

Hardware, hours and result: not run here to the end. docs/results.md has what converted weights give.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:width=32|48`, a data set (`:coco`, `:mpii`, `:lspet`, `:panoptic`), `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, width=32, **common.data_set_arguments())
  config = common.get_default()
  data_set = common.published(config, arg)
  if data_set in (None, 'coco'):
    config.data.augment = {'name': 'hrnet'}
  config.model.name = f'pose_hrnet_w{arg.width}'
  config.model.modules = (1, 4, 3)
  config.model.blocks = 4
  config.codec = {'name': 'msra', 'sigma': 2.0}
  if data_set:
    config.num_steps = config.num_steps * 210 // 140
  config.optimizer.step_boundaries = (170 / 210, 200 / 210)
  if arg.smoke:
    common.smoke(config)
    config.task.crop_size = (64, 32)  # multiples of 32
    config.model.modules = (1, 0, 0)
    config.model.blocks = 1
  return config
