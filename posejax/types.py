"""The batch and the prediction: names, shapes, frames, units. Read this file first.

Dimension letters: B batch, C classes, K keypoints, H W crop (the net's input), h w feature map or
heatmap.
Points are (x, y); shapes are (h, w). Pixel centres are at integer coordinates, so the top-left pixel
of an image is the point (0, 0) and a point flipped in an image of width W is at W - 1 - x.

Three frames, named by suffix where two of them meet:

* `_image`: pixels of the original picture. Metrics are taken here.
* `_crop`: pixels of the net's input. A batch's `keypoints` are in this frame.
* `_heatmap`: cells of a heatmap. Never leaves a codec.

**Example** (`source[i]`, one person, numpy):

| key | value |
|---|---|
| `image` | encoded bytes (JPEG, PNG), or uint8 `[h, w, 3]` RGB where the source draws its pictures |
| `keypoints` | float32 `[K, 2]`, image frame; meaningless where `visibility` is 0 |
| `visibility` | int32 `[K]`: 0 not labelled, 1 labelled and hidden, 2 labelled and visible (COCO's) |
| `box` | float32 `[4]`, xyxy in the image frame: the person, corners inclusive of the outermost pixels |

Sources of labelled pictures have no keypoints and box, but

| key | value |
|---|---|
| `label` | int, the class: a place in the source's `class_names` (a digit's is the digit) |

Some sources add what their metrics and messages need; `make_batch` leaves it out, and `labels(index)`
finds it again by a batch's `index`:

| key | value |
|---|---|
| `image_name` | the picture's file name |
| `image_id`, `annotation_id` | as a COCO-format file numbers them |
| `area` | float, square pixels of the image: what the object keypoint similarity divides by |
| `head_size` | float, pixels of the image: what PCKh divides by; 0 where the head has no box |

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

A classifier's are `logits` and `scores` (their softmax), float32 `[B, C]`, and `labels`, int32 `[B]`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Array = jax.Array | np.ndarray
Example = dict[str, Any]
Batch = dict[str, Array]
Predictions = dict[str, Array]
Variables = Mapping[str, Any]
"""Flax variables: `{'params': ..., 'batch_stats': ...}`."""
TransformFn = Callable[[Example, np.random.Generator], dict[str, np.ndarray]]
"""Decode, augment and crop one example: `(example, rng) -> arrays of fixed shape`."""
