"""Nested dictionaries read strictly: into dataclasses, or as keyword arguments of what they name."""

from collections.abc import Sequence
import dataclasses
import functools
import inspect
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from posejax.errors import PosejaxError, nearest

Options = dict[str, Any]
_T = TypeVar('_T')


def from_dict(cls: type[_T], values: Any, path: str) -> _T:
  """Return the dataclass `cls` of nested dictionaries; JSON's lists are taken as tuples.

  Args:
    cls: whose fields have types.
    values: as it came.
    path: of the section, such as 'config.data', in messages.

  Raises:
    PosejaxError: it is no dictionary, a key is unknown (the nearest known one is named), or a value has
      a wrong type.
  """
  if not isinstance(values, dict):
    raise PosejaxError(f'{path} must be a section with keys, got {values!r}.')
  hints = get_type_hints(cls)
  arguments = {}
  for key, value in values.items():
    if key not in hints:
      raise PosejaxError(f'{path}.{key} is not a known key.' + nearest(key, hints))
    arguments[key] = _convert(hints[key], value, f'{path}.{key}')
  return cls(**arguments)


def kind_at(cls: type, path: Sequence[str]) -> Any:
  """Return the type at a path of keys below a dataclass; None within options and where no key is."""
  kind: Any = cls
  for name in path:
    if not dataclasses.is_dataclass(kind):
      return None
    kind = get_type_hints(kind).get(name)
  return kind


def from_options(section: str, options: Options, cls: type[_T]) -> _T:
  """Return the dataclass `cls` of the options of `config.<section>`, all but `name`, strictly."""
  values = {key: value for key, value in options.items() if key != 'name'}
  return from_dict(cls, values, f'config.{section}')


def with_options(section: str, options: Options, table: dict[str, Any]) -> Any:
  """Return `table[options['name']]` with the other options bound, refusing unknown ones."""
  options = dict(options)
  name = options.pop('name')
  if name not in table:
    raise PosejaxError(f'config.{section}.name={name!r} is not known.' + nearest(name, table))
  known = [
    p.name for p in inspect.signature(table[name]).parameters.values() if p.default != p.empty
  ]
  for key in options:
    if key not in known:
      raise PosejaxError(
        f'config.{section}.{key} is not a setting of {name!r}.' + nearest(key, known)
      )
  return functools.partial(table[name], **options)


def flatten(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  """Return `{'data.name': ...}` for nested dictionaries."""
  flat = {}
  for key, value in values.items():
    if isinstance(value, dict):
      flat.update(flatten(value, f'{prefix}{key}.'))
    else:
      flat[f'{prefix}{key}'] = value
  return flat


def _convert(hint: Any, value: Any, path: str) -> Any:
  if dataclasses.is_dataclass(hint):
    return from_dict(hint, value, path)
  origin = get_origin(hint)
  if origin in (Union, types.UnionType):
    if value is None:
      return None
    (hint,) = [h for h in get_args(hint) if h is not type(None)]
    origin = get_origin(hint)
  if origin is tuple and isinstance(value, list | tuple):
    inner = get_args(hint)
    inner = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
    if len(inner) != len(value):
      raise PosejaxError(f'{path}={value!r} must have {len(inner)} entries.')
    return tuple(_convert(h, v, path) for h, v in zip(inner, value, strict=True))
  if origin is dict and isinstance(value, dict):
    return _plain(value)
  if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
    return float(value)
  if isinstance(hint, type) and type(value) is hint:
    return value
  expected = getattr(hint, '__name__', str(hint))
  raise PosejaxError(f'{path}={value!r} must be of type {expected}, got {type(value).__name__}.')


def _plain(value: Any) -> Any:
  # Options travel through JSON; tuples and lists must compare equal afterwards.
  if isinstance(value, dict):
    return {k: _plain(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return tuple(_plain(v) for v in value)
  return value
