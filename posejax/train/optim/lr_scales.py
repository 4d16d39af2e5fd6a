"""Which variables move, and how fast: `config.optimizer.lr_scales`, names of modules → factors.

A variable's path is what `/` joins, without its collection: `backbone/stem/conv/kernel`, and
`backbone/stem/bn/mean` for a running statistic. A pattern is such a path or the beginning of one,
whole names only, in which `*`, `?` and `[...]` stand for other characters (`*` for slashes too):
`backbone` is everything in it, `*/bn*` every batch norm whose name begins so. A pattern that matches a
part of what another one matches is an exception from it and counts there; two that overlap otherwise are
refused. So the order of a config's keys means nothing.

A factor multiplies the learning rate. 0 freezes: no gradient is taken, so neither the norm that is
clipped nor weight decay nor the optimiser's state knows of the variable, and it keeps its bits. A
statistic moves, or with 0 it does not. A batch norm whose statistics are frozen normalises by them in
training too, as it does in evaluation: else what is trained behind it would learn from other features
than it is used with.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import difflib
import inspect
import itertools
import math
from typing import Any

import flax.linen as nn
import jax

from posejax import paths
from posejax.errors import PosejaxError
from posejax.models import layers
from posejax.options import Options
from posejax.types import Variables

_STATISTICS = ('mean', 'var')


@dataclasses.dataclass(frozen=True)
class Scales:
  """Factors of the learning rate; empty where everything moves at it.

  Attributes:
    factors: pattern → factor.
    patterns: path of a variable → the pattern that counts for it; not there where none does.
  """

  factors: Mapping[str, float] = dataclasses.field(default_factory=dict)
  patterns: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def factor(self, path: str) -> float:
    """Return the factor of a variable, 1 where no pattern matches."""
    return self.factors[self.patterns[path]] if path in self.patterns else 1.0

  def moving(self, params: Any) -> Any:
    """Return the parameters that are not frozen, nested as before."""
    flat = paths.flatten(params)
    kept = {path: p for path, p in flat.items() if self.factor(path)}
    # As it was where nothing is frozen: flattening forgets modules without parameters.
    return params if len(kept) == len(flat) else paths.nest(kept)

  def move(self, params: Any, updates: Any, learning_rate: jax.Array) -> Any:
    """Return `params - learning_rate * factor * update`; the frozen ones as they were.

    Args:
      params: all of them.
      updates: of the moving ones, as `moving` nests them.
      learning_rate: before the factors.
    """

    def moved(keys, p, u):
      return p - learning_rate * self.factor('/'.join(key.key for key in keys)) * u

    new = jax.tree_util.tree_map_with_path(moved, self.moving(params), updates)
    return paths.replace(params, paths.flatten(new))

  def keep_frozen(self, before: Any, after: Any) -> Any:
    """Return the non-parameters `after` a step, with the frozen ones as `before`.

    Args:
      before: `{collection: nested variables}`.
      after: likewise.
    """
    # A norm in evaluation's mode leaves its statistics alone; a mean over devices may round them.
    if not self.factors:
      return after
    flat = paths.flatten(before)
    frozen = {path: v for path, v in flat.items() if not self.factor(path.partition('/')[2])}
    return paths.replace(after, frozen)

  @contextlib.contextmanager
  def frozen_norms(self) -> Iterator[None]:
    """Within it, batch norms whose statistics are frozen normalise by them, whatever the mode."""

    def intercept(call, args, kwargs, context):
      module = context.module
      if isinstance(module, layers.BatchNorm) and context.method_name == '__call__':
        path = '/'.join(module.path)
        if not any(self.factor(f'{path}/{name}') for name in _STATISTICS):
          bound = inspect.signature(module.__call__).bind(*args, **kwargs)
          bound.arguments['train'] = False
          args, kwargs = bound.args, bound.kwargs
      return call(*args, **kwargs)

    if not self.factors:
      yield
      return
    with nn.intercept_methods(intercept):
      yield

  def describe(self, variables: Variables) -> str:
    """Return how many parameters move at which factor, a line for each pattern."""
    rows = {pattern: [0, 0] for pattern in (*sorted(self.factors), None)}
    for path, leaf in paths.flatten(variables).items():
      collection, _, name = path.partition('/')
      row = rows[self.patterns.get(name)]
      if collection == 'params':
        row[0] += leaf.size
      else:
        row[1] += 1
    width = max(len(pattern or '') for pattern in (*rows, 'everything else'))
    lines = []
    for pattern, (parameters, statistics) in rows.items():
      factor = 1.0 if pattern is None else self.factors[pattern]
      frozen = '' if factor else f', frozen, as are {statistics} arrays of batch statistics'
      name = 'everything else' if pattern is None else pattern
      lines.append(f'  {name:<{width}}  x {factor:g}: {parameters:,} parameters{frozen}')
    return '\n'.join(lines)


UNSCALED = Scales()
"""Everything moves at the learning rate."""


def create(lr_scales: Options, variables: Variables) -> Scales:
  """Return the factors of `config.optimizer.lr_scales` for a net.

  Args:
    lr_scales: pattern → factor.
    variables: of the net, or their shapes; each pattern must match some.

  Raises:
    PosejaxError: a factor is no number from 0 up, a pattern matches nothing (the nearest path is
      named), or nothing is left to train.
  """
  names = [path.partition('/')[2] for path in paths.flatten(variables)]
  for pattern, factor in lr_scales.items():
    key = f'config.optimizer.lr_scales[{pattern!r}]'
    number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not number or not math.isfinite(factor) or factor < 0:
      raise PosejaxError(f'{key}={factor!r} must be a number, 0 or more; 0 freezes.')
    if not any(paths.matches(pattern, path) for path in names):
      raise PosejaxError(
        f'{key} matches no variable of the net. The nearest path is {_nearest(pattern, names)!r}; '
        'paths are in the table of parameters that a run begins with.'
      )
  matched = {
    pattern: {path for path in names if paths.matches(pattern, path)} for pattern in lr_scales
  }
  patterns = {path: _exception(path, matched) for path in set().union(*matched.values())}
  scales = Scales({pattern: float(factor) for pattern, factor in lr_scales.items()}, patterns)
  if not jax.tree.leaves(scales.moving(variables['params'])):
    raise PosejaxError(
      f'config.optimizer.lr_scales={dict(lr_scales)} freezes every parameter; leave some to train.'
    )
  return scales


def _exception(path: str, matched: Mapping[str, set[str]]) -> str:
  """Return the pattern that matches least of those that match `path`."""
  nested = sorted((p for p in matched if path in matched[p]), key=lambda p: len(matched[p]))
  for inner, outer in itertools.pairwise(nested):
    if not matched[inner] < matched[outer]:
      raise PosejaxError(
        f'config.optimizer.lr_scales: {inner!r} and {outer!r} both match {path!r}, and neither matches '
        'a part of the other; write the exception so that it does.'
      )
  return nested[0]


def _nearest(pattern: str, names: list[str]) -> str:
  """Return the path, or beginning of one, most like a pattern: as a whole or by its last name."""
  beginnings = {name[:at] for name in names for at, c in enumerate(name + '/') if c == '/'}

  def likeness(path: str) -> tuple[float, int]:
    ends = (path, path.rpartition('/')[2])
    best = max(difflib.SequenceMatcher(None, pattern, end).ratio() for end in ends)
    return best, -len(path)

  return max(sorted(beginnings), key=likeness)
