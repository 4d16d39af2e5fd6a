"""What a pose net outputs and how that is learnt: from a config and the net to codec and loss."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax import codecs
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.options import with_options
from posejax.tasks.net import OutputsFn, Shapes
from posejax.tasks.pose.losses import LOSSES, PoseLoss
from posejax.tasks.pose.options import PoseOptions


def codec_and_loss(
  config: Config,
  options: PoseOptions,
  model: nn.Module,
  num_keypoints: int,
  outputs_fn: OutputsFn | None = None,
) -> tuple[codecs.Codec, PoseLoss]:
  """Return the codec and the loss that a config names, which must fit the net.

  Args:
    config: names both, with their options.
    options: of the task.
    model: the net.
    num_keypoints: that it finds.
    outputs_fn: tells what it outputs, if it is only to be used. It is then not traced as it begins, and
      the loss, by which it learned, is not tried.

  Raises:
    PosejaxError: a name or key is unknown, or the codec or the loss needs another net.
  """
  images = jax.ShapeDtypeStruct((1, *options.crop_size, 3), jnp.float32)
  if outputs_fn is None:
    outputs = jax.eval_shape(lambda i: model.init_with_output(jax.random.key(0), i)[0], images)
  else:
    outputs = outputs_fn(model, images)
  codec = create_codec(config, options, outputs)
  loss = _loss(config, codec)
  if outputs_fn is None:
    _try(codec, loss, {name: outputs[name] for name in codec.outputs}, num_keypoints)
  return codec, loss


def create_codec(config: Config, options: PoseOptions, outputs: Shapes) -> codecs.Codec:
  """Return the codec that a config names, fitted to the net's outputs."""
  fields = {'name': 'msra', **config.codec}
  name = fields.pop('name')
  fits = {
    known: codec for known, codec in codecs.CODECS.items() if set(codec.outputs) <= set(outputs)
  }
  if name in codecs.CODECS and name not in fits:
    about = ' and '.join(codecs.CODECS[name].outputs)
    raise PosejaxError(
      f'config.codec.name={name!r} is about {about}, and {config.model.get("name")} outputs '
      f'{", ".join(outputs)}; set config.codec.name to one of {", ".join(fits)}.'
    )
  shapes = {output: array.shape for output, array in outputs.items()}
  return codecs.fit(name, options.crop_size, shapes, **fields)


def _loss(config: Config, codec: codecs.Codec) -> PoseLoss:
  table = LOSSES[codec.outputs]
  options = {'name': next(iter(table)), **config.loss}
  fn = with_options('loss', options, {name: loss.fn for name, loss in table.items()})
  return dataclasses.replace(table[options['name']], fn=fn)


def _try(codec: codecs.Codec, loss: PoseLoss, outputs: Shapes, K: int) -> None:
  """Let the loss refuse the net or its own options now, before anything is computed or written."""

  def one(outputs, keypoints, visibility, key):
    learned = None if loss.init is None else loss.init(key)
    return loss(learned, outputs, *codec.encode(keypoints, visibility))

  labels = jax.ShapeDtypeStruct((1, K, 2), jnp.float32), jax.ShapeDtypeStruct((1, K), jnp.int32)
  jax.eval_shape(one, outputs, *labels, jax.random.key(0))
