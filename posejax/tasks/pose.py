"""Single-person pose by heatmaps: the Task value."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from posejax import draw, losses
from posejax.codecs import HeatmapCodec
from posejax.geometry import affine
from posejax.skeletons import Skeleton
from posejax.tasks.base import Aux, Task
from posejax.tasks.pose_metrics import PoseMetrics
from posejax.types import Batch, Predictions, PrepareFn, Variables

LOSSES: dict[str, Callable] = {'mse': losses.heatmap_mse, 'ohkm': losses.heatmap_ohkm}
_DRAWN_EXAMPLES = 8


def normalize(
  images: jax.Array, mean: tuple[float, ...], std: tuple[float, ...], channels: str
) -> jax.Array:
  """Turn uint8 RGB `[B, H, W, 3]` into what a net expects: float32 in its own channel order."""
  if channels == 'bgr':
    images = images[..., ::-1]
  return (images.astype(jnp.float32) / 255 - jnp.array(mean)) / jnp.array(std)


def heatmap_size(model: nn.Module, crop_size: tuple[int, int]) -> tuple[int, int]:
  """Return (h, w) of a pose net's heatmaps for crops of (H, W), without computing anything."""
  images = jax.ShapeDtypeStruct((1, *crop_size, 3), jnp.float32)
  shapes = jax.eval_shape(lambda i: model.init_with_output(jax.random.key(0), i)[0], images)
  return shapes['heatmaps'].shape[1:3]


def create(
  *,
  model: nn.Module,
  skeleton: Skeleton,
  codec: HeatmapCodec,
  loss_fn: Callable[..., jax.Array],
  normalize_fn: Callable[[jax.Array], jax.Array],
  flip: bool,
  shift: bool | None,
  metrics: PoseMetrics,
  prepare_train: PrepareFn,
  prepare_eval: PrepareFn,
) -> Task:
  """Return the task of predicting one person's keypoints in a crop.

  Args:
    model: images -> `{'heatmaps': [B, h, w, K]}`.
    skeleton: of the data and the model's output.
    codec: draws targets (on the device) and decodes heatmaps.
    loss_fn: `(predicted, target, weights) -> [B]`.
    normalize_fn: uint8 images -> what the model expects.
    flip: average heatmaps with the mirrored crop's when predicting.
    shift: shift the mirrored heatmaps by a cell; the codec's habit where None.
    metrics: how predictions are measured.
    prepare_train: one example's arrays, augmented.
    prepare_eval: one example's arrays, as they are.
  """
  shift = codec.shift_flip if shift is None else shift

  def init(key: jax.Array) -> Variables:
    return model.init(key, jnp.zeros((1, *codec.crop_size, 3), jnp.float32))

  def loss(variables: Variables, batch: Batch, key: jax.Array) -> tuple[jax.Array, Aux]:
    outputs, model_state = model.apply(
      variables,
      normalize_fn(batch['images']),
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
    target, weights = codec.encode(batch['keypoints'], batch['visibility'])
    example_losses = loss_fn(outputs['heatmaps'], target, weights)
    return example_losses.mean(), Aux(model_state, {}, example_losses)

  def predict(variables: Variables, batch: Batch) -> Predictions:
    images = normalize_fn(batch['images'])
    heatmaps = model.apply(variables, images)['heatmaps']
    if flip:
      mirrored = model.apply(variables, images[:, :, ::-1])['heatmaps']
      back = codec.flip(mirrored, skeleton.flip_permutation, shift)
      heatmaps = (heatmaps + back) / 2
    keypoints_crop, scores = codec.decode(heatmaps)
    return {
      'heatmaps': heatmaps,
      'keypoints_crop': keypoints_crop,
      'keypoints_image': affine.transform_points(keypoints_crop, batch['crop_to_image']),
      'scores': scores,
    }

  return Task(
    init=init,
    loss=loss,
    predict=predict,
    measure=metrics.measure,
    records=metrics.records,
    summarize=metrics.summarize,
    main_metric=metrics.main_metric,
    draw=partial(draw_panels, skeleton=skeleton, codec=codec),
    prepare_train=prepare_train,
    prepare_eval=prepare_eval,
  )


def draw_panels(
  batch: Batch, predictions: Predictions, *, skeleton: Skeleton, codec: HeatmapCodec
) -> dict[str, np.ndarray]:
  """Return a sheet of rows `input with labels | target heatmaps | predicted | predicted skeleton`.

  Args:
    batch: numpy; padding is left out.
    predictions: numpy, or an empty dict to draw only the inputs and targets (a first batch).
    skeleton: of the data.
    codec: draws the targets, as in training.
  """
  predictions = dict(predictions)
  count = min(_DRAWN_EXAMPLES, int(batch['mask'].sum()))
  factor = max(1, round(192 / codec.crop_size[0]))
  targets, _ = codec.encode(batch['keypoints'][:count], batch['visibility'][:count])
  targets = np.asarray(targets)
  titles = ['input', 'target', 'predicted', 'skeleton'][: 4 if predictions else 2]
  rows = []
  for i in range(count):
    visibility = batch['visibility'][i]
    image, points = draw.enlarge(batch['images'][i], batch['keypoints'][i], factor)
    row = [
      draw.draw_skeleton(image, points, skeleton, visibility > 0, visibility == 1),
      draw.overlay_heatmaps(image, targets[i]),
    ]
    if predictions:
      _, points = draw.enlarge(batch['images'][i], predictions['keypoints_crop'][i], factor)
      row += [
        draw.overlay_heatmaps(image, predictions['heatmaps'][i]),
        draw.draw_skeleton(image, points, skeleton, predictions['scores'][i] > 0.1),
      ]
    rows.append(row)
  # Two examples side by side make a sheet of a screen's shape.
  paired = [a + b for a, b in zip(rows[0::2], rows[1::2], strict=False)]
  paired += [rows[-1]] if len(rows) % 2 else []
  return {'panels': draw.contact_sheet(paired, titles * 2)}
