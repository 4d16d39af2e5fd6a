"""Read a pickle without being able to run what it asks for.

A pickle is a program: it names functions by module and name and calls them. This machine knows the
operations that build numbers, strings and containers; of functions it knows those it is handed, and
the first other name ends the reading. Attributes that a pickle would set on objects are ignored, but
on a `Stateful` one.
"""

from collections.abc import Callable, Mapping
import dataclasses
import pickletools
from typing import Any, BinaryIO

from posejax.errors import PosejaxError


@dataclasses.dataclass(frozen=True)
class Constructor:
  """A function that a pickle may call.

  Attributes:
    build: arguments from the pickle -> value; must be harmless whatever they are.
  """

  build: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Opaque:
  """Stands for a value that is not needed and was not built.

  Attributes:
    kind: what it would have been.
  """

  kind: str


class Stateful:
  """A value that a pickle makes empty and fills afterwards."""

  def set_state(self, state: Any) -> None:
    """Take what the pickle fills it with; must be harmless whatever that is."""
    raise NotImplementedError


# Opcode -> number of items that it takes from the top of the stack to make a tuple.
_TUPLES = {'EMPTY_TUPLE': 0, 'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False}
_NUMBERS = ('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT', 'BINFLOAT')
_STRINGS = (
  *('STRING', 'BINSTRING', 'SHORT_BINSTRING'),
  *('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8'),
  *('UNICODE', 'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8'),
)
_LITERALS = frozenset(_NUMBERS + _STRINGS)
# Nested tuples as keys would be hashed recursively, without a limit to the depth.
_KEYS = (str, int, float, bytes, type(None))
_MARK = object()


def load(
  file: BinaryIO, known: Mapping[str, Any], persistent_load: Callable[[Any], Any] | None = None
) -> Any:
  """Return the value of the pickle that starts at the file's position; stops right behind it.

  Args:
    file: has `read`, `readline` and `tell`; reading past its end must give what there is.
    known: `'module.name'` -> a `Constructor`, or what stands for something that is not called.
    persistent_load: persistent id -> value, where the pickle may have such ids.

  Raises:
    PosejaxError: the pickle asks for a name that is not known, or is damaged.
  """
  try:
    return _run(file, known, persistent_load)
  except (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
  ) as error:
    raise PosejaxError(f'its pickle is damaged ({type(error).__name__}: {error})') from error


def _run(file, known, persistent_load):
  stack: list[Any] = []
  memo: dict[int, Any] = {}

  def since_mark() -> list[Any]:
    for at in reversed(range(len(stack))):
      if stack[at] is _MARK:
        items = stack[at + 1 :]
        del stack[at:]
        return items
    raise ValueError('no mark')

  for opcode, argument, _ in pickletools.genops(file):
    name = opcode.name
    if name in _LITERALS:
      stack.append(argument)
    elif name in _CONSTANTS:
      stack.append(_CONSTANTS[name])
    elif name in _TUPLES:
      count = _TUPLES[name]
      items = [stack.pop() for _ in range(count)]
      stack.append(tuple(reversed(items)))
    elif name in ('PROTO', 'FRAME'):
      pass
    elif name == 'MARK':
      stack.append(_MARK)
    elif name in ('PUT', 'BINPUT', 'LONG_BINPUT'):
      memo[argument] = stack[-1]
    elif name == 'MEMOIZE':
      memo[len(memo)] = stack[-1]
    elif name in ('GET', 'BINGET', 'LONG_BINGET'):
      stack.append(memo[argument])
    elif name == 'EMPTY_LIST':
      stack.append([])
    elif name == 'EMPTY_DICT':
      stack.append({})
    elif name == 'EMPTY_SET':
      stack.append(set())
    elif name == 'TUPLE':
      stack.append(tuple(since_mark()))
    elif name == 'LIST':
      stack.append(since_mark())
    elif name == 'DICT':
      stack.append(_dict_of(since_mark()))
    elif name == 'FROZENSET':
      stack.append(frozenset(_keys(since_mark())))
    elif name == 'APPEND':
      item = stack.pop()
      _expect(stack[-1], list).append(item)
    elif name == 'APPENDS':
      items = since_mark()
      _expect(stack[-1], list).extend(items)
    elif name == 'SETITEM':
      value, key = stack.pop(), stack.pop()
      _expect(stack[-1], dict).update(_dict_of([key, value]))
    elif name == 'SETITEMS':
      items = since_mark()
      _expect(stack[-1], dict).update(_dict_of(items))
    elif name == 'ADDITEMS':
      items = since_mark()
      _expect(stack[-1], set).update(_keys(items))
    elif name == 'GLOBAL':
      stack.append(_find(*argument.split(' ', 1), known))
    elif name == 'STACK_GLOBAL':
      attribute, module = stack.pop(), stack.pop()
      stack.append(_find(module, attribute, known))
    elif name in ('REDUCE', 'NEWOBJ'):
      arguments, function = stack.pop(), stack.pop()
      stack.append(_expect(function, Constructor).build(*_expect(arguments, tuple)))
    elif name == 'BUILD':
      state = stack.pop()
      if isinstance(stack[-1], Stateful):
        stack[-1].set_state(state)
    elif name == 'BINPERSID' and persistent_load is not None:
      stack.append(persistent_load(stack.pop()))
    elif name == 'STOP':
      return stack.pop()
    elif name in ('INST', 'OBJ', 'NEWOBJ_EX', 'EXT1', 'EXT2', 'EXT4'):
      # INST brings the name along; with the others it was met, and refused or found, before.
      if name == 'INST':
        _find(*argument.split(' ', 1), known)
      raise PosejaxError(f'its pickle makes an object ({name}), which weights have no need of')
    else:
      raise PosejaxError(f'its pickle has the operation {name}, which weights have no need of')
  raise ValueError('no end')


def _find(module: str, attribute: str, known: Mapping[str, Any]) -> Any:
  name = f'{module}.{attribute}'
  if name not in known:
    raise PosejaxError(
      f'its pickle asks for {name!r}, which is not needed to hold weights; nothing was run. If you '
      'trust where the file comes from, save its weights alone with PyTorch: torch.save(torch.load'
      "(file, weights_only=False)['state_dict'], new_file)"
    )
  return known[name]


def _expect(value: Any, kind: type) -> Any:
  if not isinstance(value, kind):
    raise TypeError(f'{type(value).__name__} instead of {kind.__name__}')
  return value


def _keys(items: list[Any]) -> list[Any]:
  for key in items:
    _expect(key, _KEYS)
  return items


def dict_of_pairs(pairs: Any) -> dict[Any, Any]:
  """Return the dictionary of a pickle's list of pairs (as Python 2 pickled an OrderedDict)."""
  return _dict_of([item for key, value in pairs for item in (key, value)])


def _dict_of(items: list[Any]) -> dict[Any, Any]:
  if len(items) % 2:
    raise ValueError('a key without a value')
  return dict(zip(_keys(items[::2]), items[1::2], strict=True))
