"""The grid: `--set key=v1,v2` arguments to runs, each with a name, its settings and its config."""

import ast
from collections.abc import Callable, Mapping, Sequence
import copy
import dataclasses
import hashlib
import itertools
import re
from typing import Any

from posejax.config import Config
from posejax.errors import PosejaxError, nearest
from posejax.options import flatten, kind_at

_OPEN, _CLOSE = '([{', ')]}'
_WORDS = {'true': True, 'false': False, 'none': None}
USAGE = "--set optimizer.learning_rate=1e-2,3e-3 --set 'model.block_layers=(1,2),(2,2)'"


@dataclasses.dataclass(frozen=True)
class Run:
  """One cell of the grid.

  Attributes:
    name: of its folder; the same for the same settings, whatever else the sweep holds.
    settings: dotted key -> value, as the config holds it.
    config: complete.
  """

  name: str
  settings: dict[str, Any]
  config: Config


def runs(
  base: Config,
  arguments: Sequence[str],
  read: Callable[[Mapping[str, Any]], Config] | None = None,
) -> list[Run]:
  """Return all combinations of the settings; the first argument changes slowest.

  Args:
    base: what the runs share.
    arguments: `key=v1,v2,...` each.
    read: settings -> config, where other keys of it follow from those that are set; only they differ
      from `base` where None.

  Raises:
    PosejaxError: an argument cannot be read, a key is not one of the config, or a value is of a wrong
      type or stands twice.
  """
  settings: dict[str, list[Any]] = {}
  for argument in arguments:
    key, values = parse(argument)
    if key in settings:
      raise PosejaxError(f'--set {key} is given twice; name all its values in one, {key}=v1,v2.')
    settings[key] = values
  labels = _labels(settings)
  found = []
  for values in itertools.product(*settings.values()):
    cell = dict(zip(settings, values, strict=True))
    config = with_settings(base, cell)
    if read is not None:
      config = read({key: _lookup(config, key) for key in cell})
    taken = {key: _lookup(config, key) for key in settings}
    name = ','.join(f'{_text(labels[key])}={_text(value)}' for key, value in taken.items())
    found.append(Run(name, taken, config))
  names = [run.name for run in found]
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise PosejaxError(f'The sweep has {twice[0]} twice; name every value once.')
  return found


def parse(argument: str) -> tuple[str, list[Any]]:
  """Return key and values of `key=v1,v2`.

  A value is a Python literal (`3`, `1e-3`, `(1, 2)`, `None`, `'a,b'`), `true`, `false` or `none`, or
  else text as it stands. Commas within brackets or quotes belong to the value.

  Raises:
    PosejaxError: there is no key or no value, or brackets and quotes do not match.
  """
  key, equals, text = argument.partition('=')
  key, parts = key.strip().removeprefix('config.'), _split(text, argument)
  if not (key and equals and all(parts)):
    raise PosejaxError(f'--set {argument!r} must be key=value,value,... as in {USAGE}')
  return key, [_value(part, argument) for part in parts]


def _split(text: str, argument: str) -> list[str]:
  """Split at commas outside brackets and quotes."""
  parts, depth, quote, escaped = [''], 0, '', False
  for character in text:
    if escaped:
      escaped = False
    elif quote:
      escaped = character == '\\'
      quote = '' if character == quote else quote
    elif character in '\'"':
      quote = character
    elif character in _OPEN:
      depth += 1
    elif character in _CLOSE:
      depth -= 1
    if character == ',' and not quote and depth == 0:
      parts.append('')
    else:
      parts[-1] += character
  if quote or depth:
    raise PosejaxError(
      f'--set {argument!r}: brackets or quotes do not match, as they do in {USAGE}'
    )
  return [part.strip() for part in parts]


def _value(text: str, argument: str) -> Any:
  if text.lower() in _WORDS:
    return _WORDS[text.lower()]
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    if text[0] in _OPEN + '\'"':
      raise PosejaxError(
        f'--set {argument!r}: {text} is not a value; values are separated by commas, as in {USAGE}'
      ) from None
    return text


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
  """Return `config` with the values of dotted keys replaced.

  Raises:
    PosejaxError: a key is not one of the config (the nearest is named), or a value has a wrong type.
  """
  values = copy.deepcopy(dataclasses.asdict(config))
  for key, value in settings.items():
    *path, last = key.split('.')
    section = values
    for name in path:
      section = section.get(name) if isinstance(section, dict) else None
    # Sections of options take keys that the config leaves at their defaults; whether a model, say,
    # has one is known where it is built.
    if not isinstance(section, dict) or (last not in section and not _is_open(path)):
      known = flatten(dataclasses.asdict(config))
      raise PosejaxError(f'--set {key}: the config has no such key.{nearest(key, known)}')
    if isinstance(section.get(last), dict):
      raise PosejaxError(f'--set {key}: this is a section; set one of its keys, {key}.KEY=...')
    section[last] = value
  return Config.from_dict(values)


def _is_open(path: Sequence[str]) -> bool:
  """Return whether a section is one of options, whose keys depend on its `name`."""
  return not dataclasses.is_dataclass(kind_at(Config, path))


def _lookup(config: Config, key: str) -> Any:
  value: Any = config
  for name in key.split('.'):
    value = value[name] if isinstance(value, dict) else getattr(value, name)
  return value


def _labels(keys: Sequence[str]) -> dict[str, str]:
  """Return each key's last part, or all of it where two end alike."""
  keys = list(keys)
  ends = [key.rpartition('.')[2] for key in keys]
  return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def _text(value: Any) -> str:
  """Return a value as part of a folder's name; what a name cannot hold is told apart by a digest."""
  if isinstance(value, tuple):
    return '-'.join(_text(item) for item in value)
  if isinstance(value, float) and float(f'{value:g}') == value:
    return f'{value:g}'
  text = str(value)
  clean = re.sub(r'[^A-Za-z0-9._+@-]+', '-', text)[:60]
  return clean if clean == text else f'{clean}~{hashlib.sha1(text.encode()).hexdigest()[:6]}'
