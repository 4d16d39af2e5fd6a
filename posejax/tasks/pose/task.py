"""Single-person pose, whatever the net outputs: the Task value."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.codecs import Codec
from posejax.labels import LabelSpace
from posejax.tasks import net
from posejax.tasks.base import Aux, Task, ViewFn
from posejax.tasks.pose.losses import PoseLoss
from posejax.tasks.pose.panels import draw_panels
from posejax.types import Batch, Predictions, TotalFn, TransformFn, Variables


def create(
  *,
  model: nn.Module,
  labels: LabelSpace,
  codec: Codec,
  loss: PoseLoss,
  normalize_fn: net.NormalizeFn,
  flip: bool,
  shift: bool,
  transform_train: TransformFn,
  transform_eval: TransformFn,
  view: ViewFn,
  box_padding: float,
) -> Task:
  """Return the task of predicting one person's keypoints in a crop.

  Args:
    model: images -> named arrays, the codec's `outputs` among them.
    labels: of the data and the model's output, with a skeleton.
    codec: makes targets (on the device) and reads keypoints off outputs.
    loss: of the codec's outputs. What it learns itself is a part of the parameters, `params/loss`.
    normalize_fn: uint8 images -> what the model expects.
    flip: average outputs with the mirrored crop's when predicting.
    shift: mirrored outputs by the codec's offset before averaging; its habit is `codec.shift_flip`.
    transform_train: one example's arrays, augmented.
    transform_eval: one example's arrays, as they are.
    view: a person's crop of a picture.
    box_padding: how much more than a box `view` shows.
  """
  permutation = labels.skeleton.flip_permutation

  def init(key: jax.Array) -> Variables:
    variables = model.init(key, jnp.zeros((1, *codec.crop_size, 3), jnp.float32))
    if loss.init is None:
      return variables
    learned = loss.init(jax.random.fold_in(key, 1))
    return {**variables, 'params': {**variables['params'], 'loss': learned}}

  def task_loss(
    variables: Variables, batch: Batch, key: jax.Array, total: TotalFn
  ) -> tuple[jax.Array, Aux]:
    del total  # every example's loss is its own
    outputs, model_state = net.apply_in_training(model, normalize_fn, variables, batch, key)
    targets, weights = codec.encode(batch['keypoints'], batch['visibility'])
    learned = variables['params'].get('loss')
    example_losses = loss(learned, outputs, targets, weights)
    return example_losses.mean(), Aux(model_state, {}, example_losses)

  def read(variables: Variables, images: jax.Array) -> dict[str, jax.Array]:
    outputs = net.apply(model, variables, images)
    return {name: outputs[name] for name in codec.outputs}

  def infer(variables: Variables, images: jax.Array) -> Predictions:
    images = normalize_fn(images)
    outputs = read(variables, images)
    if flip:
      mirrored = codec.flip(read(variables, images[:, :, ::-1]), permutation, shift)
      outputs = codec.average(outputs, mirrored)
    keypoints_crop, scores = codec.decode(outputs)
    return {**outputs, 'keypoints_crop': keypoints_crop, 'scores': scores}

  return Task(
    labels=labels,
    input_size=codec.crop_size,
    init=init,
    loss=task_loss,
    infer=infer,
    transform_train=transform_train,
    transform_eval=transform_eval,
    view=view,
    draw=partial(draw_panels, skeleton=labels.skeleton, codec=codec),
    codec=codec,
    taken=('flip+shift' if shift else 'flip') if flip else 'noflip',
    box_padding=box_padding,
  )
