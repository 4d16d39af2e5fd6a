"""MoveNet, trained from scratch: a light net for phones and web pages, on drawn people or a data set.

    python main.py --config=configs/pose_movenet.py                 # Lightning, drawn people
    python main.py --config=configs/pose_movenet.py:thunder,coco --config.data.manual_dir=DIR
    python main.py --config=configs/pose_movenet.py:lspet --config.data.manual_dir=DIR

DIR holds the data set as its authors ship it; a message says which files go where.

The nets are those of docs/movenet.md, whose published weights predict as they are, with batch norms to
be trained. No recipe was published for them: this has CenterNet's losses (arXiv:1904.07850), Adam, and
the schedule and augmentation of the heatmap nets here.

Hardware, hours and result: not run here to the end.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:thunder` for the larger net, a data set (`:coco`, `:mpii`, `:lspet`, `:panoptic`), `:smoke` for
      two steps.
  """
  arg = common.parse_arg(arg, thunder=False, **common.data_set_arguments())
  config = common.get_default()
  common.published(config, arg)
  variant, side = ('thunder', 256) if arg.thunder else ('lightning', 192)
  config.task.crop_size = (side, side)
  config.model = {'name': f'posejax_movenet_{variant}', 'batch_norm': True}
  config.inputs.mean = config.inputs.std = (0.5, 0.5, 0.5)
  config.codec = {'name': 'movenet', 'sigma': 1.25}
  if arg.smoke:
    common.smoke(config)
    # The whole net compiles for a minute; the head and its losses are what is its own.
    config.task.crop_size = (64, 32)
    config.model = {
      'name': 'net',
      'backbone': {'name': 'densenet_compact', 'growth': 4, 'block_layers': (1, 1)},
      'head': {'name': 'movenet'},
    }
  return config
