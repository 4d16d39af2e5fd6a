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
    common.finetune_movenet(config, variant)
  if arg.smoke:
    whole = config.model
    common.smoke_movenet(config)
    if arg.finetune:
      config.model = whole
  return config
