"""Faster R-CNN: people and things, in drawn scenes or a data set.

    python main.py --config=configs/detect_faster_rcnn.py              # drawn people and things
    python main.py --config=configs/detect_faster_rcnn.py:person       # of them people alone
    python main.py --config=configs/detect_faster_rcnn.py:resnet50,coco --config.data.manual_dir=DIR

DIR holds COCO 2017 as its authors ship it: annotations/instances_{train,val}2017.json and the pictures.
All 80 classes are learnt; `:person,coco` takes people alone. Pictures of one's own, of which a tenth is
held out:

    --config.data.annotations=FILE.json --config.data.images=DIR [--config.data.classes="('cat', 'dog')"]

The published net's norms are frozen: start it from ImageNet's weights, torchvision's, by
--config.model.init_from=resnet50-0676ba61.pth, or set --config.model.norm=group.

Recipe for COCO: references/detection of pytorch/vision: SGD 0.02 for batches of 16, 26 epochs, a tenth
after 16 and 22. What differs: pictures lie on canvases of one size.
"""

from configs import common

_COCO_PICTURES = 118_287  # of train2017


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:resnet50` for the published net, `:person` for people alone, `:coco` for the real set,
      `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, resnet50=False, person=False, coco=False)
  config = base()
  config.codec = {'name': 'faster_rcnn'}
  config.model = {'name': 'faster_rcnn_light'}
  if arg.resnet50:
    config.model = {'name': 'faster_rcnn_resnet50_fpn'}
  if arg.person:
    config.data.classes = ('person',)
  if arg.coco:
    use_coco(config, epochs=26, drops=(16, 22))
  if arg.smoke:
    smoke(config)
  return config


def base():
  """Return what both kinds of nets start from: drawn scenes, for two cores."""
  config = common.get_default()
  common.drawn_scenes(config)
  # What is left free of a canvas is next to nothing once it is normalised.
  fill = (124, 116, 104)
  config.task = {'name': 'detection', 'crop_size': (192, 256), 'max_instances': 24, 'fill': fill}
  config.optimizer.weight_decay = 0.01
  config.optimizer.clip_norm = 10.0
  config.num_steps = 2000
  config.batch_size = 8
  config.evaluate.batch_size = 16
  return config


def use_coco(config, epochs, drops):
  """Train on COCO: the published net by its recipe, the light one on small canvases."""
  config.data.name = 'coco_instances'
  config.data.num_train_examples = None
  config.data.cache = False
  config.task.max_instances = 100
  config.data.augment = {'name': 'none', 'flip': 0.5, 'scale': 0.2}
  config.batch_size = 16
  epoch = _COCO_PICTURES // config.batch_size
  config.num_steps = epochs * epoch
  config.eval_every_steps = 2 * epoch
  config.checkpoint_every_steps = epoch
  config.optimizer.warmup_steps = 1000
  config.evaluate.batch_size = 8
  if config.model['name'].endswith('light'):
    config.task.crop_size = (320, 320)
    return
  # A picture of 480 by 640 about as large as torchvision sees it, and the same turned.
  config.task.crop_size = (1088, 1088)
  config.optimizer.name = 'sgd'
  config.optimizer.learning_rate = 0.02
  config.optimizer.reference_batch_size = 16
  config.optimizer.weight_decay = 1e-4
  config.optimizer.schedule = 'step'
  config.optimizer.step_boundaries = tuple(drop / epochs for drop in drops)
  config.optimizer.clip_norm = None


def smoke(config):
  """Take two steps of a tiny net on small canvases."""
  common.smoke(config)
  config.task.crop_size = (64, 96)
  if config.model['name'].endswith('light'):
    options = {'features': 8, 'hidden': 16}
    blocks = {'growth': 4, 'block_layers': (1, 1, 1, 1)}
    options['backbone'] = {'name': 'densenet_compact', **blocks, 'stem_features': 8}
    if 'keypoint' in config.model['name']:
      options['keypoint_features'] = (8,)
    config.model = {'name': config.model['name'], **options}
  config.data.num_train_examples = 8
  config.data.num_eval_examples = 4
  config.batch_size = config.evaluate.batch_size = 2
