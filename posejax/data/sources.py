"""Sources: random access to examples, one explicit table of names.

A source has `len(source)`, `source[i] -> Example` (see `posejax.types`), `source.labels(i)` (the same
without `image`, so that statistics need not read pictures), and the attributes `skeleton`, `name` and
`fingerprint` (a string that changes when the data do).
"""

from collections.abc import Callable
import dataclasses
from typing import Any, Protocol

from posejax.config import DataConfig
from posejax.data.synthetic import people
from posejax.errors import PosejaxError, nearest
from posejax.skeletons import Skeleton
from posejax.types import Example


class Source(Protocol):
  """What every data set looks like to the rest of the system."""

  name: str
  skeleton: Skeleton
  fingerprint: str

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Example: ...

  def labels(self, index: int) -> Example:
    """Return example `index` without its picture."""
    ...


@dataclasses.dataclass(frozen=True)
class First:
  """The first `num_examples` of a source."""

  source: Any
  num_examples: int

  @property
  def name(self) -> str:
    """The underlying source's name."""
    return self.source.name

  @property
  def skeleton(self) -> Skeleton:
    """The underlying source's skeleton."""
    return self.source.skeleton

  @property
  def fingerprint(self) -> str:
    """The underlying source's fingerprint and the limit."""
    return f'{self.source.fingerprint}[:{self.num_examples}]'

  def __len__(self) -> int:
    return min(self.num_examples, len(self.source))

  def __getitem__(self, index: int) -> Example:
    if not 0 <= index < len(self):
      raise IndexError(f'example {index} of {len(self)}')
    return self.source[index]

  def labels(self, index: int) -> Example:
    """Return example `index` without its picture."""
    return self.source.labels(index)


def _synthetic_people(config: DataConfig, split: str, seed: int) -> Source:
  del config  # drawn people need no files
  return people.SyntheticPeople(split=split, seed=seed)


SOURCES: dict[str, Callable[[DataConfig, str, int], Source]] = {
  'synthetic_people': _synthetic_people,
}


def create(config: DataConfig, split: str, seed: int = 0) -> Source:
  """Return the source that `config` names.

  Args:
    config: `name` and what that source needs (folders, files).
    split: 'train' or 'eval'.
    seed: of data that are drawn rather than read.

  Raises:
    PosejaxError: no source has that name; the nearest is named.
  """
  if config.name not in SOURCES:
    raise PosejaxError(
      f'config.data.name={config.name!r} is not a data set.' + nearest(config.name, SOURCES)
    )
  source = SOURCES[config.name](config, split, seed)
  limit = config.num_train_examples if split == 'train' else config.num_eval_examples
  return source if limit is None else First(source, limit)
