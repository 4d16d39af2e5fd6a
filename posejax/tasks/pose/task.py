"""Single-person pose, whatever the net outputs: the Task value."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.codecs import Codec
from posejax.geometry import affine
from posejax.skeletons import Skeleton
from posejax.tasks import net
from posejax.tasks.base import Aux, Task
from posejax.tasks.pose.losses import PoseLoss
from posejax.tasks.pose.measures import PoseMetrics
from posejax.tasks.pose.panels import draw_panels
from posejax.types import Batch, Predictions, TransformFn, Variables


def create(
  *,
  model: nn.Module,
  skeleton: Skeleton,
  codec: Codec,
  loss: PoseLoss,
  normalize_fn: net.NormalizeFn,
  flip: bool,
  shift: bool,
  metrics: PoseMetrics,
  prepare_train: TransformFn,
  prepare_eval: TransformFn,
) -> Task:
  """Return the task of predicting one person's keypoints in a crop.

  Args:
    model: images -> named arrays, of which the codec's `output` is one.
    skeleton: of the data and the model's output.
    codec: makes targets (on the device) and reads keypoints off outputs.
    loss: of the codec's output. What it learns itself is a part of the parameters, `params/loss`.
    normalize_fn: uint8 images -> what the model expects.
    flip: average outputs with the mirrored crop's when predicting.
    shift: mirrored outputs by the codec's offset before averaging; its habit is `codec.shift_flip`.
    metrics: how predictions are measured.
    prepare_train: one example's arrays, augmented.
    prepare_eval: one example's arrays, as they are.
  """

  def init(key: jax.Array) -> Variables:
    variables = model.init(key, jnp.zeros((1, *codec.crop_size, 3), jnp.float32))
    if loss.init is None:
      return variables
    learned = loss.init(jax.random.fold_in(key, 1))
    return {**variables, 'params': {**variables['params'], 'loss': learned}}

  def task_loss(variables: Variables, batch: Batch, key: jax.Array) -> tuple[jax.Array, Aux]:
    outputs, model_state = net.apply_in_training(model, normalize_fn, variables, batch, key)
    targets, weights = codec.encode(batch['keypoints'], batch['visibility'])
    learned = variables['params'].get('loss')
    example_losses = loss(learned, outputs[codec.output], targets, weights)
    return example_losses.mean(), Aux(model_state, {}, example_losses)

  def predict(variables: Variables, batch: Batch) -> Predictions:
    images = normalize_fn(batch['images'])
    outputs = model.apply(variables, images)[codec.output]
    if flip:
      mirrored = model.apply(variables, images[:, :, ::-1])[codec.output]
      outputs = (outputs + codec.flip(mirrored, skeleton.flip_permutation, shift)) / 2
    keypoints_crop, scores = codec.decode(outputs)
    return {
      codec.output: outputs,
      'keypoints_crop': keypoints_crop,
      'keypoints_image': affine.transform_points(keypoints_crop, batch['crop_to_image']),
      'scores': scores,
    }

  return Task(
    init=init,
    loss=task_loss,
    predict=predict,
    measure=metrics.measure,
    records=metrics.records,
    summarize=metrics.summarize,
    main_metric=metrics.main_metric,
    draw=partial(draw_panels, skeleton=skeleton, codec=codec),
    prepare_train=prepare_train,
    prepare_eval=prepare_eval,
  )
