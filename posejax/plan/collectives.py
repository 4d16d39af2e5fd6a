"""The collectives of a compiled program, read from its text."""

import math
import re
from typing import NamedTuple

_KINDS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')
# `%name = TYPE all-reduce(` or `all-reduce-start(`; a `-done` only waits for what was started.
_INSTRUCTION = re.compile(rf'^\s*(?:ROOT )?%?[\w.\-]+ = ([^"]+?) ({"|".join(_KINDS)})(-start)?\(')
_COMPUTATION = re.compile(r'^(?:ENTRY )?%?([\w.\-]+) .*\{$')
_STARTED = re.compile(r' async-start\(.*calls=%?([\w.\-]+)')
_LOOP = re.compile(r' while\(.*body=%?([\w.\-]+).*"known_trip_count":\{"n":"?(\d+)')
# What goes to other slices is handed to the host, and comes back by a `recv`.
_SENT = re.compile(
  r' = (.*?) send\(.*_xla_megascale_target="\{([\d,:]+)\}.*_xla_megascale_transfer_type="(\w+)"'
)
_RECEIVED = re.compile(r' = .* recv(-done)?\(')
_SHAPE = re.compile(r'([a-z]\w*)\[([\d,<=]*)\]')
_LAYOUT = re.compile(r'\{[^{}]*\}')
_BITS = re.compile(r'\d+')


class Collective(NamedTuple):
  """One exchange between devices.

  Attributes:
    kind: 'all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all' or 'collective-permute'.
    size: bytes a device holds of what is exchanged as a whole: of an all-gather the gathered, of a
      reduce-scatter what is scattered.
    devices: how many take part together; slices, where it is between these.
    is_async: whether the program goes on computing meanwhile.
    between_slices: whether it goes through their hosts, each device's part for itself.
    is_joined: whether it was sent with the one before it, which it need not wait for.
  """

  kind: str
  size: int
  devices: int
  is_async: bool
  between_slices: bool = False
  is_joined: bool = False


def read(text: str, num_devices: int) -> list[Collective]:
  """Return the collectives of a program, in its text's order.

  One inside a loop is there as often as the loop is known to run, else once.

  Args:
    text: of a compiled program, `compiled.as_text()`.
    num_devices: that it is compiled for.
  """
  started = set(_STARTED.findall(text))
  times = {body: int(count) for body, count in _LOOP.findall(text)}
  found, computation, is_joined = [], '', False
  for line in text.splitlines():
    if match := _COMPUTATION.match(line):
      computation = match.group(1)
    elif match := _INSTRUCTION.match(line):
      type_text, kind, start = match.groups()
      devices = _group_size(line, num_devices)
      size = _size(type_text, kind, start is not None)
      size *= devices if kind == 'reduce-scatter' else 1
      is_async = start is not None or computation in started
      found += [Collective(kind, size, devices, is_async)] * times.get(computation, 1)
    elif match := _SENT.search(line):
      type_text, slices, kind = match.groups()
      kind, size = kind.lower().replace('_', '-'), _size(_top_level(type_text)[0], '', False)
      one = Collective(kind, size, _numbers(slices), False, True, is_joined)
      found += [one] * times.get(computation, 1)
      is_joined = True
    elif _RECEIVED.search(line):
      is_joined = False
  return found


def _size(type_text: str, kind: str, is_start: bool) -> int:
  """Return the bytes of an instruction's result.

  What starts a gather or a permutation results in a pair (operands, results, ...); what starts a
  reduction has the type of the reduction.
  """
  parts = _top_level(_without_layouts(type_text))
  if is_start and kind != 'all-reduce' and len(parts) > 1:
    parts = parts[1:2]
  return sum(_bytes(*shape) for part in parts for shape in _SHAPE.findall(part))


def _without_layouts(text: str) -> str:
  return _LAYOUT.sub('', re.sub(r'/\*.*?\*/', '', text))


def _top_level(text: str) -> list[str]:
  """Return the members of a tuple type, or the one type."""
  text = text.strip()
  if not text.startswith('('):
    return [text]
  parts, depth = [''], 0
  for letter in text[1:-1]:
    depth += (letter in '([') - (letter in ')]')
    if letter == ',' and depth == 0:
      parts.append('')
    else:
      parts[-1] += letter
  return parts


def _bytes(dtype: str, dims: str) -> int:
  bits = 8 if dtype == 'pred' else int(match.group()) if (match := _BITS.search(dtype)) else 0
  return math.ceil(math.prod(int(d.lstrip('<=')) for d in dims.split(',') if d) * bits / 8)


def _numbers(text: str) -> int:
  """Return how many numbers there are in a list such as `1,2,5:8`, where the last are four."""
  ends = [[int(end) for end in part.split(':')] for part in text.split(',')]
  return sum(end[-1] - end[0] + 1 for end in ends)


def _group_size(line: str, num_devices: int) -> int:
  if match := re.search(r'replica_groups=\[\d+,(\d+)\]', line):
    return int(match.group(1))
  if match := re.search(r'replica_groups=\{\{([\d,]+)\}', line):
    return match.group(1).count(',') + 1
  return num_devices
