"""ResNet with the SimpleBaseline head: the published recipe's net, on drawn people or a public data set.

    python main.py --config=configs/pose_resnet.py                 # ResNet-18, drawn people
    python main.py --config=configs/pose_resnet.py:depth=50,v2     # pre-activation ResNet-50
    python main.py --config=configs/pose_resnet.py:depth=50,coco --config.data.manual_dir=DIR
    python main.py --config=configs/pose_resnet.py:depth=50,mpii --config.data.manual_dir=DIR
    python main.py --config=configs/pose_resnet.py:lspet --config.data.manual_dir=DIR
    python main.py --config=configs/pose_resnet.py:depth=50,panoptic,v2 --config.data.manual_dir=DIR

DIR holds the data set as its authors ship it; a message says which files go where.

Recipe: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking" (ECCV 2018): Adam 1e-3
for 32 x 4 examples, times 0.1 at 90 and 120 of 140 epochs, MSRA heatmaps of sigma 2 at stride 4, flip
test with shift.

| argument | crop | augmentation: flip, rotation, scale | steps | published for ResNet-50 |
|---|---|---|---|---|
| none | 256x192 | 0.5, 40, 0.3 | 20,000 | - |
| coco | 256x192 | 0.5, 40, 0.3 | 163,800 | AP 70.4 (detected boxes, ImageNet weights) |
| mpii | 256x256 | 0.5, 30, 0.25 | 24,220 | PCKh@0.50 0.885 (ImageNet weights) |
| lspet | 256x256 | as mpii: none is published | 9,800 | - |
| panoptic | 224x224 | as mpii: none is published | 109,340 | - |

For COCO's published figure evaluate with the detector's boxes, --mode=eval
--config.evaluate.detections=COCO_val2017_detections_AP_H_56_person.json.

Hardware, hours and result: not run here to the end, in any of these forms; a step takes seconds on two
CPU cores. For a first result on a laptop use configs/pose_densenet.py.
"""

from configs import common


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:depth=18|34|50|101|152`, `:v2` for pre-activation, a data set (`:coco`, `:mpii`, `:lspet`,
      `:panoptic`), `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, depth=18, v2=False, **common.data_set_arguments())
  config = common.get_default()
  common.published(config, arg)
  config.model.name = f'pose_resnet{arg.depth}' + ('_v2' if arg.v2 else '')
  config.model.head_features = (256, 256, 256)
  config.codec = {'name': 'msra', 'sigma': 2.0}
  if arg.smoke:
    common.smoke(config)
    config.model.head_features = (8, 8, 8)
  return config
