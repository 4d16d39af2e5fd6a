"""`--config=FILE` and `--config.KEY=VALUE`, read in one place for every command."""

from collections.abc import Mapping, Sequence
import importlib.util
import itertools
import os
import sys
import typing
from typing import Any, NamedTuple

from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.options import kind_at

USAGE = '--config=configs/NAME.py[:ARGUMENT] [--config.KEY=VALUE ...]'


class Named(NamedTuple):
  """What a command line says of a config.

  Attributes:
    config: with its overrides.
    name: file and argument, `configs/x.py:smoke`.
    overrides: dotted key -> value, of what the command line sets.
  """

  config: Config
  name: str
  overrides: dict[str, Any]


def read(arguments: Sequence[str], settings: Mapping[str, Any] | None = None) -> Config:
  """Return the config that `arguments` name, with their overrides; see `read_named`."""
  return read_named(arguments, settings).config


def read_named(arguments: Sequence[str], settings: Mapping[str, Any] | None = None) -> Named:
  """Return what `arguments` say of a config.

  Args:
    arguments: what a command's own parser did not know; `--config` and its keys only.
    settings: dotted key -> value, set after the arguments'; keys that follow from them do so.

  Raises:
    PosejaxError: no config is named, its file or a key is wrong, or something else is among them.
  """
  from absl import flags
  from ml_collections import config_flags

  arguments, unset = _without_unset(_make_importable(arguments))
  settings = unset | (settings or {})
  values, argv = flags.FlagValues(), ['posejax', *arguments]
  holder = config_flags.DEFINE_config_file(
    'config',
    None,
    flag_values=values,
    sys_argv=argv,
    # Sections such as config.model have keys that no config file lists; Config refuses unknown ones.
    lock_config=False,
    accept_new_attributes=True,
  )
  try:
    others = values(argv)[1:]
    if others:
      raise PosejaxError(f'Unexpected arguments {others}; a config is given as {USAGE}.')
    if holder.value is None:
      raise PosejaxError(f'A config is needed: {USAGE}.')
    for key, value in settings.items():
      _set(holder.value, key, value)
    config = Config.from_dict(holder.value.to_dict())
    flag = values['config']
    overrides = config_flags.get_override_values(flag) | unset
    return Named(config, flag.config_filename, overrides)
  except KeyError as error:
    raise PosejaxError(
      f'config: there is no section {error.args[0]}. A new one is given as a whole, '
      "--config.model.backbone=\"{'name': 'resnet', 'depth': 18}\"."
    ) from error
  except (flags.Error, AttributeError, OSError, TypeError, ValueError) as error:
    raise PosejaxError(f'config: {str(error).strip()}') from error


def _without_unset(arguments: list[str]) -> tuple[list[str], dict[str, None]]:
  """Return the arguments without `--config.KEY=none` of keys that may be None, and those keys.

  absl reads a flag as the type of the config's own value, which a number's None is not.
  """
  rest, unset = [], {}
  for argument in arguments:
    name, _, value = argument.partition('=')
    key = name.lstrip('-').removeprefix('config.')
    unset.pop(key, None)  # the last one counts
    if value in ('none', 'None') and name.lstrip('-') != key and _may_be_none(key):
      unset[key] = None
    else:
      rest.append(argument)
  return rest, unset


def _may_be_none(key: str) -> bool:
  return type(None) in typing.get_args(kind_at(Config, key.split('.')))


def _set(config: Any, key: str, value: Any) -> None:
  *sections, last = key.split('.')
  for section in sections:
    config = config[section]
  with config.ignore_type():
    config[last] = value


def _make_importable(arguments: Sequence[str]) -> list[str]:
  """Let a config import what lies beside its folder, as it can where main.py lies: `configs.common`.

  A config that is not there is looked for where the package was installed from, configs included.
  """
  arguments = list(arguments)
  for place, (argument, after) in enumerate(itertools.pairwise([*arguments, ''])):
    name, equals, value = argument.partition('=')
    if name.lstrip('-') != 'config':
      continue
    path, colon, options = (value if equals else after).partition(':')
    if not os.path.exists(path) and (installed := _installed(path)):
      path = installed
      value = f'{path}{colon}{options}'
      arguments[place + (not equals)] = f'{name}={value}' if equals else value
    root = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    if root not in sys.path:
      sys.path.append(root)
  return arguments


def _installed(path: str) -> str | None:
  """Return the installed config of the same name, or None."""
  spec = importlib.util.find_spec('configs')
  for folder in (spec.submodule_search_locations or ()) if spec else ():
    candidate = os.path.join(folder, os.path.basename(path))
    if os.path.isfile(os.path.join(folder, 'common.py')) and os.path.isfile(candidate):
      return candidate
  return None
