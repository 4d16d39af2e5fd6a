"""What people are shown of a pose task: inputs, targets and predictions side by side."""

from functools import partial

import jax
import numpy as np

from posejax import draw
from posejax.codecs import Codec
from posejax.skeletons import Skeleton
from posejax.types import Batch, Predictions

_DRAWN_EXAMPLES = 8


# Compiled whole: operation by operation it takes many times as long.
@partial(jax.jit, static_argnums=0)
def _target_maps(codec, keypoints, visibility):
  return codec.target_maps(*codec.encode(keypoints, visibility))


@partial(jax.jit, static_argnums=0)
def _output_maps(codec, outputs):
  return codec.output_maps(outputs)


def draw_panels(
  batch: Batch, predictions: Predictions, *, skeleton: Skeleton, codec: Codec
) -> dict[str, np.ndarray]:
  """Return a sheet of rows `input with labels | targets | predicted | predicted skeleton`.

  Args:
    batch: numpy; padding is left out.
    predictions: numpy, or an empty dict to draw only the inputs and targets (a first batch).
    skeleton: of the data.
    codec: makes the targets, as in training.
  """
  predictions = dict(predictions)
  count = min(_DRAWN_EXAMPLES, int(batch['mask'].sum()))
  factor = max(1, round(192 / codec.crop_size[0]))
  targets = np.asarray(_target_maps(codec, batch['keypoints'][:count], batch['visibility'][:count]))
  titles = ['input', 'target', 'predicted', 'skeleton'][: 4 if predictions else 2]
  if predictions:
    outputs = {name: predictions[name][:count] for name in codec.outputs}
    outputs = np.asarray(_output_maps(codec, outputs))
  rows = []
  for i in range(count):
    visibility = batch['visibility'][i]
    image, points = draw.enlarge(batch['images'][i], batch['keypoints'][i], factor)
    row = [
      draw.draw_skeleton(image, points, skeleton, visibility > 0, visibility == 1),
      draw.overlay_heatmaps(image, targets[i], codec.map_cell, factor),
    ]
    if predictions:
      _, points = draw.enlarge(batch['images'][i], predictions['keypoints_crop'][i], factor)
      row += [
        draw.overlay_heatmaps(image, outputs[i], codec.map_cell, factor),
        draw.draw_skeleton(image, points, skeleton, predictions['scores'][i] > 0.1),
      ]
    rows.append(row)
  # Two examples side by side make a sheet of a screen's shape.
  paired = [a + b for a, b in zip(rows[0::2], rows[1::2], strict=False)]
  paired += [rows[-1]] if len(rows) % 2 else []
  return {'panels': draw.contact_sheet(paired, titles * 2)}
