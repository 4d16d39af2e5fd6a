"""What the configs share: the defaults as a ConfigDict, and their argument."""

import dataclasses
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import ml_collections
from ml_collections import config_dict

from posejax.config import Config
from posejax.errors import PosejaxError, nearest


def get_default() -> ml_collections.ConfigDict:
  """Return every key of `posejax.config.Config` with its default, typed for overrides by flags."""
  return _to_config_dict(Config)


def _to_config_dict(cls: type) -> ml_collections.ConfigDict:
  config, hints = ml_collections.ConfigDict(), get_type_hints(cls)
  for field in dataclasses.fields(cls):
    hint = hints[field.name]
    if dataclasses.is_dataclass(hint):
      config[field.name] = _to_config_dict(hint)
      continue
    default = field.default
    if default is dataclasses.MISSING:
      default = ml_collections.ConfigDict(field.default_factory())
    if default is None:
      # A plain None could not be overridden by a flag.
      default = config_dict.placeholder(_optional_type(hint))
    config[field.name] = default
  return config


def _optional_type(hint: Any) -> type:
  assert get_origin(hint) in (Union, types.UnionType)
  (inner,) = [h for h in get_args(hint) if h is not type(None)]
  return inner


def parse_arg(arg: str | None, **known: Any) -> ml_collections.ConfigDict:
  """Parse a config's argument, `configs/x.py:smoke,depth=50`.

  Args:
    arg: what follows the colon.
    **known: names and defaults. A name alone means True; values take their default's type.

  Raises:
    PosejaxError: an unknown name (the nearest is told) or a value of another type.
  """
  known = {'smoke': False, **known}
  parsed = ml_collections.ConfigDict(known)
  for part in filter(None, (arg or '').split(',')):
    name, equals, value = part.partition('=')
    if name not in known:
      raise PosejaxError(f'{part!r} is not an argument of this config.' + nearest(name, known))
    kind = type(known[name])
    try:
      parsed[name] = kind(value) if equals and kind is not bool else value.lower() != 'false'
    except ValueError:
      raise PosejaxError(
        f'Argument {part!r} of this config must be of type {kind.__name__}.'
      ) from None
  return parsed


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrink a config to two steps on a few drawn people, to see that everything runs."""
  config.num_steps = 2
  config.batch_size = 8
  config.log_every_steps = 1
  config.eval_every_steps = 2
  config.checkpoint_every_steps = 1
  config.optimizer.warmup_steps = 0
  config.evaluate.batch_size = 8
  config.data.num_train_examples = 24
  config.data.num_eval_examples = 12
  config.data.crop_size = (64, 48)
