"""Write the goldens of the two-stage detectors, or whole records of photographs: torchvision's answers.

    python -m tests.goldens.make_rcnn
    python -m tests.goldens.make_rcnn --kind=keypoint --pictures='val2017/*.jpg' --out=FOLDER

The second is what `benchmarks/rcnn_parity.py` compares with. Needs PyTorch and torchvision
(tried: torch 2.13.0 and `pip install --no-deps torchvision==0.28.0`); where torchvision's compiled
operators do not fit, its own Python ones take their place, which are slow and exact.
"""

import argparse
import glob
import json
import os
import sys
import time

os.environ['TORCHDYNAMO_DISABLE'] = '1'  # torchvision would compile its Python operators

import numpy as np
import torch

from tests.goldens import seeded, seeded_rcnn

FOLDER = os.path.dirname(os.path.abspath(__file__))
_CHUNK = 64
_FEATURES = {'0': 4, '1': 8, '2': 16, '3': 32, 'pool': 64}


def _nms(boxes, scores, threshold):
  """Return what stays, by the rule's words; `torchvision::nms` where there is none compiled."""
  order = torch.argsort(scores, descending=True, stable=True)
  x1, y1, x2, y2 = boxes[order].unbind(1)
  area = (x2 - x1) * (y2 - y1)
  free, kept = torch.ones(len(order), dtype=torch.bool), []
  for i in range(len(order)):
    if not free[i]:
      continue
    kept.append(order[i])
    w = (torch.minimum(x2[i], x2) - torch.maximum(x1[i], x1)).clamp(min=0)
    h = (torch.minimum(y2[i], y2) - torch.maximum(y1[i], y1)).clamp(min=0)
    free &= ~(w * h / (area[i] + area - w * h) > threshold)
  return torch.tensor(kept, dtype=torch.int64)


def _roi_align(input, rois, scale, height, width, ratio, aligned):
  python = sys.modules['torchvision.ops.roi_align']._roi_align
  parts = rois.split(_CHUNK) if len(rois) else [rois]
  return torch.cat([python(input, part, scale, height, width, ratio, aligned) for part in parts])


def detection():
  """Return torchvision.models.detection, with operators that run."""
  try:
    torch.ops.torchvision.nms  # noqa: B018
  except (AttributeError, RuntimeError):
    library = torch.library.Library('torchvision', 'DEF')
    for name in ('nms', 'qnms'):
      library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    library.define(
      'roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, '
      'SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor'
    )
    library.impl('nms', _nms, 'CPU')
    library.impl('roi_align', _roi_align, 'CPU')
    detection.library = library  # or what it defines would be gone
  from torchvision.models import detection as models

  for name in ('torchvision.ops.boxes', 'torchvision.ops.roi_align', 'torchvision.extension'):
    sys.modules[name]._assert_has_ops = lambda: None
  return models


def build(kind: str, **options):
  """Return torchvision's net with frozen norms of epsilon 0, as its COCO_V1 weights have them."""
  models = detection()
  make = {'faster': models.fasterrcnn_resnet50_fpn, 'keypoint': models.keypointrcnn_resnet50_fpn}
  from torchvision.ops.misc import FrozenBatchNorm2d

  model = make[kind](weights=None, weights_backbone=None, **options).eval()
  for module in list(model.modules()):
    for name, child in module.named_children():
      if isinstance(child, torch.nn.BatchNorm2d):
        setattr(module, name, FrozenBatchNorm2d(child.num_features, eps=0.0))
  return model


class Recorder:
  """What every stage of a net gave at its last run."""

  def __init__(self, model):
    self.model, self.stages = model, {}
    stages = {
      'transform': model.transform,
      'features': model.backbone,
      'rpn_head': model.rpn.head,
      'rpn': model.rpn,
      'box': model.roi_heads.box_predictor,
    }
    if model.roi_heads.keypoint_predictor is not None:
      stages['heatmaps'] = model.roi_heads.keypoint_predictor
    for name, module in stages.items():
      module.register_forward_hook(lambda _, i, output, name=name: self._keep(name, output))

  def _keep(self, name, output):
    self.stages[name] = output

  @torch.no_grad()
  def run(self, picture: np.ndarray) -> dict[str, np.ndarray]:
    """Return the stages of a uint8 picture as arrays, channels last."""
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
    result = self.model([x])[0]
    stages = self.stages
    images, sizes = stages['transform'][0].tensors, stages['transform'][0].image_sizes
    arrays = {
      'input': images[0].permute(1, 2, 0),
      'size': torch.tensor(sizes[0]),
      **{f'feature {_FEATURES[k]}': v[0].permute(1, 2, 0) for k, v in stages['features'].items()},
      'proposals': stages['rpn'][0][0],
      'class_logits': stages['box'][0],
      'class_deltas': stages['box'][1],
      'scores': result['scores'],
      'labels': result['labels'],
      'boxes_image': result['boxes'],
    }
    for (name, stride), logits, deltas in zip(_FEATURES.items(), *stages['rpn_head'], strict=True):
      h, w = stages['features'][name].shape[2:]
      arrays[f'anchor_logits {stride}'] = logits[0].permute(1, 2, 0).reshape(-1)
      arrays[f'anchor_deltas {stride}'] = (
        deltas[0].reshape(-1, 4, h, w).permute(2, 3, 0, 1).reshape(-1, 4)
      )
    if 'heatmaps' in stages:
      arrays['heatmaps'] = stages['heatmaps'].permute(0, 2, 3, 1)
      arrays['keypoints_image'] = result['keypoints'][..., :2]
      arrays['keypoint_scores'] = result['keypoints_scores']
    return {name: value.numpy() for name, value in arrays.items()}


def find_scales(recorder: Recorder, shapes, picture) -> tuple[dict, dict]:
  """Give the net seeded weights whose scores spread on a picture; return the factors and biases."""

  def by_channel(maps):
    return torch.cat([x.movedim(1, -1).reshape(-1, x.shape[1]) for x in maps])

  scales, biases = {}, {}
  outputs = {
    'rpn.head.cls_logits': lambda s: by_channel(s['rpn_head'][0]),
    'rpn.head.bbox_pred': lambda s: by_channel(s['rpn_head'][1]),
    'roi_heads.box_predictor.cls_score': lambda s: s['box'][0],
    'roi_heads.box_predictor.bbox_pred': lambda s: s['box'][1],
    'roi_heads.keypoint_predictor.kps_score_lowres': lambda s: by_channel([s['heatmaps']]),
  }
  for module, wanted in seeded_rcnn.SCALED.items():
    if f'{module}.weight' not in shapes:
      continue
    biases[module] = [0.0] * shapes[f'{module}.weight'][1 if 'lowres' in module else 0]
    load(recorder.model, seeded_rcnn.weights(shapes, scales, biases))
    recorder.run(picture)
    values = outputs[module](recorder.stages)
    scales[module] = round(wanted / float((values - values.mean(0)).std()), 4)
    biases[module] = [round(float(-x), 4) for x in scales[module] * values.mean(0)]
  load(recorder.model, seeded_rcnn.weights(shapes, scales, biases))
  return scales, biases


def load(model, values):
  model.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})


def training_losses(model, picture: np.ndarray) -> dict[str, np.ndarray]:
  """Return the losses of a picture and its mirror image, drawn by `seeded_rcnn.priority`."""

  def draw(self, all_labels):
    masks = [], []
    for labels in all_labels:
      order = torch.from_numpy(-seeded_rcnn.priority(len(labels)).astype(np.float64))
      most = int(self.batch_size_per_image * self.positive_fraction)
      chosen = []
      for kind in (labels >= 1, labels == 0):
        places = torch.nonzero(kind)[:, 0]
        chosen.append(places[torch.argsort(order[places])][:most])
        most = self.batch_size_per_image - len(chosen[0])
      for mask, places in zip(masks, chosen, strict=True):
        mask.append(torch.zeros(len(labels), dtype=torch.uint8).index_fill(0, places, 1))
    return masks

  import torchvision

  torchvision.models.detection._utils.BalancedPositiveNegativeSampler.__call__ = draw
  truth, images, targets = seeded_rcnn.truth(), [], []
  for i, image in enumerate((picture, picture[:, ::-1])):
    images.append(torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255)
    mask = truth['box_mask'][i]
    points = np.concatenate([truth['keypoints'][i], truth['visibility'][i][..., None]], -1)
    targets.append(
      {
        'boxes': torch.from_numpy(truth['boxes'][i][mask]),
        'labels': torch.ones(int(mask.sum()), dtype=torch.int64),
        'keypoints': torch.from_numpy(points[mask].astype(np.float32)),
      }
    )
  with torch.no_grad():
    losses = model.train()(images, targets)
  return {name: losses[peer].numpy() for name, peer in seeded_rcnn.LOSSES.items()}


def write_golden(kind: str) -> None:
  model = build(
    kind,
    min_size=seeded_rcnn.SHORT_SIDE,
    max_size=seeded_rcnn.LONG_SIDE,
    rpn_pre_nms_top_n_test=seeded_rcnn.NUM_PROPOSALS,
    rpn_post_nms_top_n_test=seeded_rcnn.NUM_PROPOSALS,
    rpn_pre_nms_top_n_train=seeded_rcnn.TRAIN_PROPOSALS,
    rpn_post_nms_top_n_train=seeded_rcnn.TRAIN_PROPOSALS,
    rpn_batch_size_per_image=seeded_rcnn.ANCHOR_SAMPLES,
    box_batch_size_per_image=seeded_rcnn.REGION_SAMPLES,
    box_detections_per_img=seeded_rcnn.NUM_DETECTIONS,
  )
  shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
  recorder = Recorder(model)
  scales, biases = find_scales(recorder, shapes, seeded.image())
  arrays = {}
  for name, value in recorder.run(seeded.image()).items():
    print(f'  {name} {value.shape}: {value.min():.4g} to {value.max():.4g}')
    if kind == 'faster' and name.startswith('anchor'):
      continue  # the other's are enough
    sampled = name in ('input', 'heatmaps') or name.startswith('feature')
    arrays[name] = seeded.sample(value) if sampled else value
    arrays[f'{name} range'] = np.ptp(value)
  if kind == 'keypoint':
    losses = training_losses(model, seeded.image())
    print(f'  losses {losses}')
    arrays |= {f'loss {name}': value for name, value in losses.items()}
  for name, value in (('shapes', shapes), ('scales', scales), ('biases', biases)):
    arrays[name] = np.frombuffer(json.dumps(value).encode(), np.uint8)
  target = os.path.join(FOLDER, f'{kind}_rcnn.npz')
  np.savez_compressed(target, **arrays)
  print(f'{target}: {os.path.getsize(target):,} bytes')


def write_records(kind: str, pattern: str, number: int, out: str) -> None:
  from PIL import Image

  model = build(kind)
  shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
  recorder = Recorder(model)
  os.makedirs(out, exist_ok=True)
  paths = sorted(glob.glob(pattern))[:number]
  for i, path in enumerate(paths):
    picture = np.asarray(Image.open(path).convert('RGB'))
    if i == 0:
      find_scales(recorder, shapes, picture)
      torch.save(model.state_dict(), os.path.join(out, 'weights.pth'))
    began = time.perf_counter()
    arrays = recorder.run(picture)
    seconds = time.perf_counter() - began
    np.savez(os.path.join(out, f'{i:04d}.npz'), path=path, seconds=seconds, **arrays)
    print(f'{path}: {len(arrays["scores"])} detections, {seconds:.1f} s', flush=True)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kind', choices=['faster', 'keypoint'])
  parser.add_argument('--pictures', help='a pattern of files')
  parser.add_argument('--number', type=int, default=20, help='of pictures')
  parser.add_argument('--out', help='folder of the records')
  flags = parser.parse_args()
  for kind in [flags.kind] if flags.kind else ['faster', 'keypoint']:
    if flags.pictures:
      write_records(kind, flags.pictures, flags.number, flags.out)
    else:
      write_golden(kind)


if __name__ == '__main__':
  main()
