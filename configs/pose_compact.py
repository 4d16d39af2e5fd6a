"""The net that comes with posejax: most of MoveNet Lightning, taught by people and by MoveNet Thunder.

    posejax weights get movenet_lightning && posejax weights get movenet_thunder
    posejax data prepare lspet --manual_dir=LSPET
    posejax data export --format=coco --config=configs/pose_densenet.py:lspet --out=lspet_people
    posejax data pseudo-label --model=movenet_thunder --flip --images=lspet_people/images \
      --boxes=lspet_people/annotations.json --min_score=0.4 --min_keypoints=6 --out=thunder.json
    python main.py --config=configs/pose_compact.py --config.data.parts.taught.annotations=thunder.json \
      --config.data.parts.taught.images=lspet_people/images \
      --config.data.parts.coco.annotations=COCO/annotations/person_keypoints_train2017.json \
      --config.data.parts.coco.images=COCO/train2017

It finds COCO's 17 keypoints. Lightning's last block and last layer, and what the neck needs to read them,
hold 954,240 of its 2,317,974 parameters: they are left out, so that the rest fits into 3 MB, and the
neck's first layer starts anew. Everybody of Leeds Sports Pose Extended is there twice: with the twelve
keypoints that people labelled, and with those of the 17 that Thunder is sure of, the face's among them.

Hardware, hours and result: docs/models/posejax_compact.md.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment; `:smoke` for two steps on drawn people."""
  arg = common.parse_arg(arg)
  config = common.get_default()
  config.task.crop_size = (192, 192)
  config.model = {
    'name': 'net',
    'backbone': {'name': 'mobilenet_v2', 'num_blocks': 16, 'last_features': None},
    'neck': {'name': 'movenet_fpn'},
    'head': {'name': 'movenet'},
  }
  config.inputs.mean = config.inputs.std = (0.5, 0.5, 0.5)
  config.codec = {'name': 'movenet', 'sigma': 1.25}
  common.finetune_movenet(config, 'lightning')
  config.init_fresh = ('backbone/block16', 'backbone/conv_last', 'neck/lateral_c5')
  # Its kernel starts at a tenth of the size that the published one has.
  config.optimizer.lr_scales['neck/lateral_c5'] = 10
  config.codec.reach = 8.0
  config.num_steps = 6000
  config.eval_every_steps = 500
  config.checkpoint_every_steps = 250
  config.data.executor = 'threads'
  config.data.augment = {
    'name': 'msra',
    'rotation': 60.0,
    'rotation_probability': 0.7,
    'shift': 0.1,
    'half_body': 0.2,
    'color': 0.5,
    'brightness': 0.3,
    'contrast': 0.3,
    'saturation': 0.4,
    'hue': 0.05,
    'occlusion': 0.3,
  }
  if arg.smoke:
    common.smoke_movenet(config)
    config.init_from, config.init_fresh, config.optimizer.lr_scales = '', (), {}
    return config
  config.data.name = 'mixture'
  config.data.skeleton = 'coco'
  config.data.parts = {
    'lspet': {'repeat': 1},
    'taught': {'name': 'coco_file', 'annotations': '', 'images': '', 'evaluate': False},
    'coco': {
      'name': 'coco_file',
      'annotations': '',
      'images': '',
      'evaluate': False,
      'repeat': 3,
    },
  }
  return config
