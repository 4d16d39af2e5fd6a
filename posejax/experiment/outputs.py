"""What a pose net outputs and how that is learnt: from a config and the net to codec and loss."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax import codecs
from posejax.config import Config, with_options
from posejax.errors import PosejaxError
from posejax.tasks.pose.losses import LOSSES, PoseLoss


def codec_and_loss(
  config: Config, model: nn.Module, num_keypoints: int
) -> tuple[codecs.Codec, PoseLoss]:
  """Return the codec and the loss that a config names, which must fit the net.

  Raises:
    PosejaxError: a name or key is unknown, or the codec or the loss needs another net.
  """
  crop_size = config.data.crop_size
  images = jax.ShapeDtypeStruct((1, *crop_size, 3), jnp.float32)
  outputs = jax.eval_shape(lambda i: model.init_with_output(jax.random.key(0), i)[0], images)
  codec = _codec(config, outputs)
  loss = _loss(config, codec)
  _try(codec, loss, outputs[codec.output], num_keypoints)
  return codec, loss


def _codec(config: Config, outputs: dict[str, jax.ShapeDtypeStruct]) -> codecs.Codec:
  options = {'name': 'msra', 'crop_size': config.data.crop_size, **config.codec}
  fields = codecs.fields(options['name'])
  if codecs.CODECS[options['name']].output not in outputs:
    fitting = [name for name, codec in codecs.CODECS.items() if codec.output in outputs]
    raise PosejaxError(
      f'config.codec.name={options["name"]!r} is about {codecs.CODECS[options["name"]].output}, and '
      f'{config.model.get("name")} outputs {", ".join(outputs)}; set config.codec.name to one of '
      f'{", ".join(fitting)}.'
    )
  if 'heatmap_size' in fields:
    options = {'heatmap_size': outputs['heatmaps'].shape[1:3], **options}
  return codecs.create(**options)


def _loss(config: Config, codec: codecs.Codec) -> PoseLoss:
  table = LOSSES[codec.output]
  options = {'name': next(iter(table)), **config.loss}
  fn = with_options('loss', options, {name: loss.fn for name, loss in table.items()})
  return dataclasses.replace(table[options['name']], fn=fn)


def _try(codec: codecs.Codec, loss: PoseLoss, output: jax.ShapeDtypeStruct, K: int) -> None:
  """Let the loss refuse the net or its own options now, before anything is computed or written."""

  def one(output, keypoints, visibility, key):
    learned = None if loss.init is None else loss.init(key)
    return loss(learned, output, *codec.encode(keypoints, visibility))

  labels = jax.ShapeDtypeStruct((1, K, 2), jnp.float32), jax.ShapeDtypeStruct((1, K), jnp.int32)
  jax.eval_shape(one, output, *labels, jax.random.key(0))
