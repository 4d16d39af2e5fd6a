"""The batch and the prediction: names, shapes, frames, units. Read this file first.

Dimension letters: B batch, N instances on a picture, C classes, K keypoints, H W crop (the net's input),
h w feature map or heatmap.
Points are (x, y); shapes are (h, w). Pixel centres are at integer coordinates, so the top-left pixel
of an image is the point (0, 0) and a point flipped in an image of width W is at W - 1 - x.

Three frames, named by suffix where two of them meet:

* `_image`: pixels of the original picture. Metrics are taken here.
* `_crop`: pixels of the net's input. A batch's `keypoints` are in this frame.
* `_heatmap`: cells of a heatmap. Never leaves a codec.

**Picture** (`source[i]`, numpy): what a data set is made of, with everybody on it. What a source does not
know is left out; `source.labels(i)` is the same without `image`:

| key | value |
|---|---|
| `image` | encoded bytes (JPEG, PNG), or uint8 `[h, w, 3]` RGB where it was drawn or is decoded |
| `image_name` | the picture's file name |
| `image_id` | as the data set numbers it |
| `boxes` | float32 `[N, 4]`, xyxy in the image frame, corners on the outermost pixels; N may be 0 |
| `labels` | int32 `[N]`, the classes: places in the source's `label_space.class_names` |
| `crowd` | bool `[N]`: the box is around a crowd, nobody of whom is annotated apart |
| `keypoints` | float32 `[N, K, 2]`, image frame; meaningless where `visibility` is 0 |
| `visibility` | int32 `[N, K]`: 0 not labelled, 1 labelled and hidden, 2 labelled and visible (COCO's) |
| `areas` | float64 `[N]`, square pixels: what the object keypoint similarity divides by |
| `head_sizes` | float32 `[N]`, pixels: what PCKh divides by; 0 where the head has no box |
| `annotation_ids` | `[N]`, as the data set numbers them |

Annotations are given as they are: people without labelled keypoints have `visibility` 0 throughout, and
a box may be empty (x2 < x1 or y2 < y1 where it lies outside its picture). A picture that shows one thing,
to be classified, has none of the arrays, but

| key | value |
|---|---|
| `label` | int, the class: a place in the source's `label_space.class_names` (a digit's is the digit) |

**Example** (`People(source)[i]`, one person of a picture with labelled keypoints, numpy):

| key | value |
|---|---|
| `image`, `image_name`, `image_id` | the picture's |
| `keypoints`, `visibility` | `[K, 2]` and `[K]`, the person's |
| `box` | float32 `[4]` |
| `area`, `head_size` | float |
| `annotation_id` | as the data set numbers it |

`make_batch` leaves out what only metrics and messages need; `labels(index)` finds it again by a batch's
`index`.

**Batch** (`make_batch(...)`, a pure function of seed and step, numpy):

| key | value |
|---|---|
| `images` | uint8 `[B, H, W, 3]`, RGB; normalised inside the compiled step |
| `keypoints` | float32 `[B, K, 2]`, crop frame |
| `visibility` | int32 `[B, K]`; 0 also for padding examples |
| `keypoints_image` | float32 `[B, K, 2]`, image frame |
| `boxes` | float32 `[B, 4]`, xyxy in the image frame |
| `head_sizes` | float32 `[B]`, pixels of the image; 0 where the source does not know it |
| `crop_to_image` | float32 `[B, 2, 3]`: affine taking homogeneous crop points to the image frame |
| `index` | int32 `[B]`: the example's number in its source; -1 for padding |
| `mask` | float32 `[B]`: 1 for an example, 0 for the padding that fills an evaluation's last batch |

A flipped example has its left and right keypoints swapped in every per-keypoint array, and its
`crop_to_image` contains the reflection, so it still leads to the original picture.

A batch of labelled pictures has `images`, `index`, `mask` and

| key | value |
|---|---|
| `labels` | int32 `[B]`, the classes, 0 ... C - 1; 0 also for padding examples |

A batch of a detector's, of pictures with everybody on them (N is `config.task.max_instances`), has
`images` (canvases), `crop_to_image`, `index`, `mask` and

| key | value |
|---|---|
| `boxes` | float32 `[B, N, 4]`, xyxy on the canvas, **by edges**; 0 where there is none |
| `labels` | int32 `[B, N]`, the classes; 0 also where there is no box |
| `box_mask` | bool `[B, N]`: what is to be found |
| `box_ignore` | bool `[B, N]`: neither to be found nor to be missed, such as crowds |
| `image_size` | int32 `[B, 2]`: (h, w): how far pictures reach from the top left of the canvas |
| `keypoints` | float32 `[B, N, K, 2]`, crop frame; where the net finds keypoints |
| `visibility` | int32 `[B, N, K]`; where the net finds keypoints |

By edges, pixel i reaches from i to i + 1, and x2 - x1 is the width: so detectors count everywhere. Points
have pixel centres at integers here too.

**Predictions** (`task.infer`, device arrays):

| key | value |
|---|---|
| `keypoints_crop` | float32 `[B, K, 2]` |
| `scores` | float32 `[B, K]`, heatmap maximum or the like, not calibrated |

and, averaged with the mirrored crop's where that is on, the outputs that its codec reads:

| key | value |
|---|---|
| `heatmaps` | float32 `[B, h, w, K]` |
| `coordinates` | float32 `[B, K, 2]`: x, y as fractions of the crop; `[B, K, 4]` with sigmas' logits |
| `logits` | float32 `[B, H, W, K + 1]`: of every pixel's class, background first |

A detector's are `boxes` float32 `[B, M, 4]`, by edges like the batch's, `scores` float32 `[B, M]` and
`labels` int32 `[B, M]`, the surest first and all 0 where there are no more, and where it finds keypoints
`keypoints_crop` `[B, M, K, 2]` and `keypoint_scores` `[B, M, K]`.

A classifier's are `logits` and `scores` (their softmax), float32 `[B, C]`, and `labels`, int32 `[B]`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import jax
import numpy as np

Array = jax.Array | np.ndarray


class Picture(TypedDict, total=False):
  """A picture and everybody on it; see the table above."""

  image: bytes | np.ndarray
  image_name: str
  image_id: Any
  boxes: np.ndarray
  labels: np.ndarray
  crowd: np.ndarray
  keypoints: np.ndarray
  visibility: np.ndarray
  areas: np.ndarray
  head_sizes: np.ndarray
  annotation_ids: np.ndarray
  label: int


Example = dict[str, Any]
OF_ONE = {
  'boxes': 'box',
  'labels': 'label',
  'crowd': 'crowd',
  'keypoints': 'keypoints',
  'visibility': 'visibility',
  'areas': 'area',
  'head_sizes': 'head_size',
  'annotation_ids': 'annotation_id',
}
"""Key of a Picture's instances -> what it is called of a single one."""
Batch = dict[str, Array]
Predictions = dict[str, Array]
Variables = Mapping[str, Any]
"""Flax variables: `{'params': ..., 'batch_stats': ...}`."""
TransformFn = Callable[[Picture | Example, np.random.Generator], dict[str, np.ndarray]]
"""Decode, augment and crop one example or picture: `(example, rng) -> arrays of fixed shape`."""
TotalFn = Callable[[Any], Any]
"""Counts of the examples at hand (a pytree) -> their sums over the whole batch, of which these may be a
device's share or a part of it. A loss that divides by a count of boxes asks it, at most once."""
