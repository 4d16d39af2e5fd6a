"""Compute what PyTorch's nets answer to seeded weights: writes the `.npz` files beside this script.

Only this needs PyTorch; the tests read the files. In an environment of its own:

    pip install torch==2.13.0 numpy opencv-python-headless
    pip install --no-deps torchvision==0.28.0
    python tests/goldens/make_goldens.py [--only=NAME] [--real_data=FOLDER]

ResNets, DenseNets and VGGs are torchvision's own; the heads of SimpleBaseline and HRNet are written
here after the papers, with the published state dicts' names. With `--real_data` (the folder that
tests know as POSEJAX_REAL_DATA) the answers to photographs are kept too; the photographs are not.
"""

import argparse
import json
import os
import sys
import zlib

import numpy as np
import seeded
import torch
from torch import nn

FOLDER = os.path.dirname(os.path.abspath(__file__))
REAL_IMAGES = [f'lspet/images/im{i:05d}.jpg' for i in (1, 2, 3)]
KEYPOINTS = 17


def torchvision_models():
  """Import torchvision's Python code, also where its compiled operators do not fit this PyTorch."""
  try:
    import torchvision.models as models
  except RuntimeError:
    for name in [n for n in sys.modules if n.startswith('torchvision')]:
      del sys.modules[name]
    # Declared, not implemented: importing asks for them, the classifiers do not.
    for operator in ('nms', 'qnms'):
      arguments = 'Tensor dets, Tensor scores, float iou_threshold'
      torch.library.define(f'torchvision::{operator}', f'({arguments}) -> Tensor')
    import torchvision.models as models
  return models


def conv_bn(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
  conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
  return [conv, nn.BatchNorm2d(outputs)]


class PoseResNet(nn.Module):
  """SimpleBaseline: a ResNet's stages, three transposed convolutions, one convolution."""

  def __init__(self, resnet: nn.Module):
    super().__init__()
    for name in ('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2', 'layer3', 'layer4'):
      setattr(self, name, getattr(resnet, name))
    channels, layers = resnet.fc.in_features, []
    for _ in range(3):
      layers += [
        nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False),
        nn.BatchNorm2d(256),
        nn.ReLU(),
      ]
      channels = 256
    self.deconv_layers = nn.Sequential(*layers)
    self.final_layer = nn.Conv2d(256, KEYPOINTS, 1)

  def stages(self, x):
    x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
    maps = {}
    for i in range(1, 5):
      x = maps[f'c{i + 1}'] = getattr(self, f'layer{i}')(x)
    maps['heatmaps'] = self.final_layer(self.deconv_layers(x))
    return maps


class DenseNet(nn.Module):
  def __init__(self, net: nn.Module):
    super().__init__()
    self.features, self.classifier = net.features, net.classifier

  def stages(self, x):
    maps = {}
    for name, layer in self.features.named_children():
      x = layer(x)
      if name.startswith('denseblock'):
        maps[f'c{int(name[-1]) + 1}'] = x
    maps['c5'] = torch.relu(x)
    return maps


class VGG(nn.Module):
  def __init__(self, net: nn.Module):
    super().__init__()
    self.features, self.classifier = net.features, net.classifier

  def stages(self, x):
    pools = []
    for layer in self.features:
      x = layer(x)
      if isinstance(layer, nn.MaxPool2d):
        pools.append(x)
    return {f'pool{i}': pools[i - 1] for i in (3, 4, 5)}


class Exchange(nn.Module):
  """HRNet's module: blocks on each branch, then sums over all branches."""

  def __init__(self, block, width: int, inputs: int, outputs: int):
    super().__init__()
    widths = [width * 2**i for i in range(inputs)]
    self.branches = nn.ModuleList(nn.Sequential(*(block(w, w) for _ in range(4))) for w in widths)
    self.fuse_layers = nn.ModuleList(
      nn.ModuleList(self.path(widths, j, i) for j in range(inputs)) for i in range(outputs)
    )

  @staticmethod
  def path(widths, j, i):
    if j == i:
      return None
    if j > i:
      resize = nn.Upsample(scale_factor=2 ** (j - i), mode='nearest')
      return nn.Sequential(*conv_bn(widths[j], widths[i], 1), resize)
    steps = [nn.Sequential(*conv_bn(widths[j], widths[j], 3, 2), nn.ReLU()) for _ in range(i - j)]
    steps[-1] = nn.Sequential(*conv_bn(widths[j], widths[i], 3, 2))
    return nn.Sequential(*steps)

  def forward(self, xs):
    xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
    outputs = []
    for paths in self.fuse_layers:
      moved = [x if path is None else path(x) for path, x in zip(paths, xs, strict=True)]
      outputs.append(torch.relu(sum(moved)))
    return outputs


class HRNet(nn.Module):
  """The pose net of the HRNet paper; torchvision's residual blocks have the names it uses."""

  def __init__(self, width: int, blocks):
    super().__init__()
    self.conv1, self.bn1 = conv_bn(3, 64, 3, 2)
    self.conv2, self.bn2 = conv_bn(64, 64, 3, 2)
    downsample = nn.Sequential(*conv_bn(64, 256, 1))
    first = blocks.Bottleneck(64, 64, downsample=downsample)
    self.layer1 = nn.Sequential(first, *(blocks.Bottleneck(256, 64) for _ in range(3)))
    for n, (before, modules) in enumerate([(256, 1), (2 * width, 4), (4 * width, 3)], 1):
      kept = [nn.Sequential(*conv_bn(256, width), nn.ReLU())] if n == 1 else [None] * n
      new = nn.Sequential(nn.Sequential(*conv_bn(before, width * 2**n, 3, 2), nn.ReLU()))
      setattr(self, f'transition{n}', nn.ModuleList([*kept, new]))
      ends = [n + 1] * (modules - 1) + [1 if n == 3 else n + 1]
      stage = [Exchange(blocks.BasicBlock, width, n + 1, end) for end in ends]
      setattr(self, f'stage{n + 1}', nn.Sequential(*stage))
    self.final_layer = nn.Conv2d(width, KEYPOINTS, 1)

  def stages(self, x):
    x = torch.relu(self.bn1(self.conv1(x)))
    x = torch.relu(self.bn2(self.conv2(x)))
    x = self.layer1(x)
    maps, xs = {'layer1_3': x}, [x]
    for n, last in ((1, 'stage2_0'), (2, 'stage3_3'), (3, 'stage4_2')):
      transition = getattr(self, f'transition{n}')
      kept = [transition[0](x)] if n == 1 else xs
      xs = getattr(self, f'stage{n + 1}')([*kept, transition[n](xs[-1])])
      maps |= {f'{last}/{i}': branch for i, branch in enumerate(xs)}
    maps['heatmaps'] = self.final_layer(xs[0])
    return maps


def nets():
  """Return name -> function that builds the net."""
  models = torchvision_models()
  table = {}
  for depth in (18, 34, 50, 101, 152):
    constructor = getattr(models, f'resnet{depth}')
    table[f'pose_resnet{depth}'] = lambda make=constructor: PoseResNet(make())
  for depth in (121, 169, 201):
    constructor = getattr(models, f'densenet{depth}')
    table[f'densenet{depth}'] = lambda make=constructor: DenseNet(make())
  for name in ('vgg16', 'vgg16_bn'):
    constructor = getattr(models, name)
    table[name] = lambda make=constructor: VGG(make(init_weights=False))
  for width in (32, 48):
    table[f'pose_hrnet_w{width}'] = lambda w=width: HRNet(w, models.resnet)
  return table


def pictures(real_data: str | None) -> np.ndarray:
  """Return uint8 RGB pictures `[N, h, w, 3]`: the drawn one, then photographs."""
  images = [seeded.image()]
  if real_data:
    import cv2

    for name in REAL_IMAGES:
      bgr = cv2.imread(os.path.join(real_data, name), cv2.IMREAD_COLOR)
      images.append(seeded.center(bgr[..., ::-1]))
  return np.stack(images)


def answers(net: nn.Module, images: np.ndarray, bgr: bool) -> dict[str, np.ndarray]:
  """Return every stage's feature maps `[N, h, w, C]`."""
  images = images[..., ::-1] if bgr else images
  x = (images / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
  x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32))
  with torch.inference_mode():
    maps = net.stages(x)
  return {name: y.permute(0, 2, 3, 1).numpy() for name, y in maps.items()}


def keypoints(heatmaps: np.ndarray) -> np.ndarray:
  """Return SimpleBaseline's reading of `[N, h, w, K]`, `[N, K, 2]` as (x, y) in cells."""
  count, h, w, _ = heatmaps.shape
  points = np.zeros((count, KEYPOINTS, 2), np.float32)
  for n in range(count):
    for k in range(KEYPOINTS):
      values = heatmaps[n, :, :, k]
      y, x = divmod(int(values.argmax()), w)
      if values[y, x] <= 0:
        continue
      points[n, k] = x, y
      if 1 < x < w - 1 and 1 < y < h - 1:
        points[n, k, 0] += 0.25 * np.sign(values[y, x + 1] - values[y, x - 1])
        points[n, k, 1] += 0.25 * np.sign(values[y + 1, x] - values[y - 1, x])
  return points


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--only', default='', help='nets whose name begins so')
  parser.add_argument('--real_data')
  flags = parser.parse_args()
  torch.set_num_threads(1)
  images = pictures(flags.real_data)
  for name, make in nets().items():
    if not name.startswith(flags.only):
      continue
    net = make().eval()
    state = net.state_dict()
    shapes = {n: list(t.shape) for n, t in state.items()}
    net.load_state_dict({n: torch.from_numpy(w) for n, w in seeded.weights(shapes).items()})
    # SimpleBaseline read pictures with OpenCV and left them BGR.
    maps = answers(net, images, bgr=name.startswith('pose_resnet'))
    arrays = {'shapes': np.frombuffer(json.dumps(shapes).encode(), np.uint8)}
    arrays['images'] = np.array([zlib.crc32(image.tobytes()) for image in images], np.uint32)
    for stage, values in maps.items():
      assert np.isfinite(values).all(), (name, stage)
      arrays[f'{stage} scale'] = np.abs(values).max((1, 2, 3))
      arrays[f'{stage} sample'] = np.stack([seeded.sample(v) for v in values])
    if 'heatmaps' in maps:
      arrays['heatmaps'] = maps['heatmaps'][:1]
      arrays['keypoints'] = keypoints(maps['heatmaps'])
    path = os.path.join(FOLDER, f'{name}.npz')
    np.savez_compressed(path, **arrays)
    scales = ' '.join(f'{s} {np.abs(v).mean():.3g}' for s, v in maps.items())
    print(f'{name}: {os.path.getsize(path):,} bytes; mean size of {scales}', flush=True)


if __name__ == '__main__':
  main()
