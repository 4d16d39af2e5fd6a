"""Keypoint R-CNN: people, each with a box and keypoints, in one look at a picture.

    python main.py --config=configs/detect_keypoint_rcnn.py            # the light net, drawn people
    python main.py --config=configs/detect_keypoint_rcnn.py:resnet50,coco --config.data.manual_dir=DIR

DIR holds COCO 2017 as its authors ship it. torchvision's published weights:

    posejax convert keypointrcnn_resnet50_fpn_coco-fc266e95.pth --workdir=RUN \\
        --config=configs/detect_keypoint_rcnn.py:resnet50,coco --config.model.norm_epsilon=0.0

The published net's norms are frozen: start it from ImageNet's weights, torchvision's, by
--config.model.init_from=resnet50-0676ba61.pth, or set --config.model.norm=group.

Recipe for COCO: references/detection of pytorch/vision: SGD 0.02 for batches of 16, 46 epochs, a tenth
after 36 and 43. What differs: pictures lie on canvases of one size, and what a picture is scaled by is
drawn evenly from a range.
"""

from configs import common, detect_faster_rcnn


def get_config(arg=None):
  """Return the experiment.

  Args:
    arg: `:resnet50` for the published net, `:coco` for the real set, `:smoke` for two steps.
  """
  arg = common.parse_arg(arg, resnet50=False, coco=False)
  config = detect_faster_rcnn.base()
  config.codec = {'name': 'keypoint_rcnn'}
  config.model = {'name': 'keypoint_rcnn_light'}
  config.data.classes = ('person',)
  if arg.resnet50:
    config.model = {'name': 'keypoint_rcnn_resnet50_fpn'}
  if arg.coco:
    detect_faster_rcnn.use_coco(config, epochs=46, drops=(36, 43))
    config.data.name = 'coco'
  if arg.smoke:
    detect_faster_rcnn.smoke(config)
  return config
