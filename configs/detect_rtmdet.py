"""RTMDet, a light detector of one stage: people and things in drawn scenes, or a data set.

    python main.py --config=configs/detect_rtmdet.py                    # drawn people and things
    python main.py --config=configs/detect_rtmdet.py:person             # of them people alone
    python main.py --config=configs/detect_rtmdet.py:nano,coco --config.data.manual_dir=DIR
    python main.py --config=configs/detect_rtmdet.py:tiny,coco --config.data.manual_dir=DIR

Without `:nano`, `:tiny` or `:s`, the published nets, it is a net of the same parts that trains in minutes
on two CPU cores, by Muon: half of nano's width, its 3x3 convolutions not depthwise.

DIR holds COCO 2017 as its authors ship it: annotations/instances_{train,val}2017.json and the pictures.
All 80 classes are learnt; `:person,coco` takes people alone. Pictures of one's own, of which a tenth is
held out:

    --config.data.annotations=FILE.json --config.data.images=DIR [--config.data.classes="('cat', 'dog')"]

`posejax predict --workdir=RUN` draws boxes, `posejax predict --detector=RUN
--workdir=POSE_RUN` looks into them.

Recipe for COCO: configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py of open-mmlab/mmdetection and
projects/rtmpose/rtmdet/person/rtmdet_nano_320-8xb32_coco-person.py of open-mmlab/mmpose: AdamW 4e-3
for batches of 256, 300 epochs, mosaic. What differs: the rate falls as a cosine from the start on,
mosaics are half of the pictures throughout, and none is mixed with another (MixUp).
"""

from configs import common

_COCO_PICTURES = 118_287  # of train2017


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:nano`, `:tiny` or `:s` for a published net, `:person` for people alone, `:coco` for the real
      set, `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, **dict.fromkeys(('nano', 'tiny', 's', 'person', 'coco'), False))
  config = common.get_default()
  common.drawn_scenes(config)
  config.task = {'name': 'detection', 'crop_size': (192, 256), 'max_instances': 48}
  config.model = _compact(depth=0.167, width=0.125, features=32)
  for variant in ('nano', 'tiny', 's'):
    if arg[variant]:
      config.model = {'name': f'rtmdet_{variant}'}
  config.codec = {'name': 'rtmdet'}
  config.data.augment.mosaic = 0.1
  config.num_steps = 1500
  config.batch_size = 16
  config.evaluate.batch_size = 32
  config.optimizer.weight_decay = 0.02
  config.optimizer.clip_norm = 35.0
  if arg.person:
    config.data.classes = ('person',)
  if arg.coco:
    _use_coco(config)
  if arg.smoke:
    common.smoke(config)
    common.draw_without_files(config, 'synthetic_scenes')
    config.task.crop_size = (64, 96)
    # The head and its losses: the whole net compiles for a minute.
    config.model = {
      'name': 'net',
      'backbone': {'name': 'densenet_compact', 'growth': 4, 'block_layers': (1, 1, 1, 1)},
      'head': {'name': 'rtmdet', 'features': 4, 'shared': False, 'exponential': True},
    }
    config.data.num_train_examples = 8
    config.data.num_eval_examples = 4
    config.batch_size = config.evaluate.batch_size = 4
  return config


def _compact(depth, width, features):
  return {
    'name': 'net',
    'backbone': {'name': 'cspnext', 'depth': depth, 'width': width},
    'neck': {'name': 'cspnext_pafpn', 'features': features},
    # Read as they are, distances begin at 0 and large people come last: docs/detect.md.
    'head': {'name': 'rtmdet', 'features': features, 'exponential': True},
  }


def _use_coco(config):
  """Train on COCO by the published recipe, as far as it goes here."""
  config.data.name = 'coco_instances'
  config.data.num_train_examples = None
  config.data.cache = False
  config.task.crop_size = (320, 320)
  config.task.max_instances = 100
  config.data.augment.mosaic = 0.5
  config.data.augment.scale = 0.5
  config.batch_size = 256
  epoch = _COCO_PICTURES // config.batch_size
  config.num_steps = 300 * epoch
  config.eval_every_steps = 10 * epoch
  config.checkpoint_every_steps = epoch
  config.optimizer.learning_rate = 4e-3
  config.optimizer.name = 'adamw'
  config.optimizer.b2 = 0.999
  config.optimizer.weight_decay = 0.05
  config.optimizer.final_fraction = 0.05
  config.optimizer.reference_batch_size = 256
  config.optimizer.warmup_steps = 1000
  config.optimizer.ema_decay = 0.9998
