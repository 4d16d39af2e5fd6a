"""`--config=FILE` and `--config.KEY=VALUE` for the commands, read as main.py reads them."""

from collections.abc import Sequence
import itertools
import os
import sys

from posejax.config import Config
from posejax.errors import PosejaxError

USAGE = '--config=configs/NAME.py[:ARGUMENT] [--config.KEY=VALUE ...]'


def read(arguments: Sequence[str]) -> Config:
  """Return the config that `arguments` name, with their overrides.

  Args:
    arguments: what a command's own parser did not know; `--config` and its keys only.

  Raises:
    PosejaxError: no config is named, its file or a key is wrong, or something else is among them.
  """
  from absl import flags
  from ml_collections import config_flags

  _make_importable(arguments)
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
    return Config.from_dict(holder.value.to_dict())
  except (flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
    raise PosejaxError(f'config: {str(error).strip()}') from error


def _make_importable(arguments: Sequence[str]) -> None:
  """Let a config import what lies beside its folder, as it can where main.py lies: `configs.common`."""
  for argument, after in itertools.pairwise([*arguments, '']):
    name, equals, path = argument.partition('=')
    if name.lstrip('-') == 'config':
      path = (path if equals else after).partition(':')[0]
      root = os.path.dirname(os.path.dirname(os.path.abspath(path)))
      if root not in sys.path:
        sys.path.append(root)
