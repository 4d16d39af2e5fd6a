"""The net that comes with posejax: a compact DenseNet taught by people's labels and by MoveNet Thunder.

    posejax weights get movenet_thunder
    posejax data prepare lspet --manual_dir=LSPET
    posejax data export --format=coco --config=configs/pose_densenet.py:lspet --out=lspet_people
    posejax data pseudo-label --model=movenet_thunder --flip --images=lspet_people/images \
      --boxes=lspet_people/annotations.json --min_score=0.4 --min_keypoints=6 --out=thunder.json
    python main.py --config=configs/pose_compact.py --config.data.parts.taught.annotations=thunder.json \
      --config.data.parts.taught.images=lspet_people/images \
      --config.data.parts.coco.annotations=COCO/annotations/person_keypoints_train2017.json \
      --config.data.parts.coco.images=COCO/train2017
    python main.py --config=configs/pose_compact.py:fine --config.init_from=runs/pose_compact …

It learns COCO's 17 keypoints. Everybody of Leeds Sports Pose Extended is there twice: with the twelve
that people labelled, and with those of the 17 that Thunder is sure of, the face's among them. `:fine`
goes on at 128x128.

Hardware, hours and result: docs/models/posejax_compact.md.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment; `:fine` for the second part, `:smoke` for two steps on drawn people."""
  arg = common.parse_arg(arg, fine=False)
  config = common.get_default()
  common.small(config)
  config.model = {
    'name': 'pose_densenet_compact',
    'growth': 32,
    'block_layers': (2, 4, 6, 6),
    'stem_features': 32,
    'head_features': 64,
  }
  config.codec = {'name': 'udp', 'sigma': 1.0}
  config.loss = {'name': 'mse', 'foreground_weight': 3.0}
  config.task.crop_size = (128, 128) if arg.fine else (96, 96)
  config.batch_size = 32
  config.num_steps = 1200 if arg.fine else 12_000
  config.eval_every_steps = 400 if arg.fine else 1000
  config.checkpoint_every_steps = 500
  config.data.num_train_examples = None
  config.data.executor = 'threads'
  config.data.augment = {
    'name': 'none',
    'flip': 0.5,
    'rotation': 40.0,
    'scale': 0.35,
    'shift': 0.1,
    'half_body': 0.15,
    'color': 0.6,
    'brightness': 0.3,
    'contrast': 0.3,
    'saturation': 0.4,
    'hue': 0.05,
    'occlusion': 0.3,
  }
  config.optimizer.name = 'muon'
  config.optimizer.learning_rate = 5e-3 if arg.fine else 2e-2
  config.optimizer.b2 = 0.99
  config.optimizer.clip_norm = 1.0
  config.optimizer.ema_decay = 0.995 if arg.fine else 0.999
  if arg.smoke:
    common.smoke(config)
    config.model.update(growth=4, block_layers=(1, 1), stem_features=8, head_features=8)
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
      'repeat': 2,
    },
  }
  return config
