"""Nested dictionaries of arrays by path: `{'params/head/final/kernel': array}`."""

from collections.abc import Mapping
import fnmatch
from typing import Any

from flax import traverse_util
import jax


def flatten(tree: Any) -> dict[str, Any]:
  """Return path → leaf; keys are joined by `/`."""
  return traverse_util.flatten_dict(dict(tree), sep='/')


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
  """Return what `flatten` flattened; a module without leaves is not in it."""
  return traverse_util.unflatten_dict(dict(flat), sep='/')


def replace(tree: Any, flat: Mapping[str, Any]) -> Any:
  """Return `tree` with the leaves of `flat` in the place of its own; all of them must be there."""
  used = set()

  def leaf(keys, old):
    path = '/'.join(key.key for key in keys)
    if path not in flat:
      return old
    used.add(path)
    return flat[path]

  new = jax.tree_util.tree_map_with_path(leaf, tree)
  assert used == flat.keys(), f'not in the tree: {sorted(flat.keys() - used)}'
  return new


def matches(pattern: str, path: str) -> bool:
  """Return whether a pattern is a path or the beginning of one, whole names only.

  In it `*`, `?` and `[...]` stand for other characters, `*` for slashes too.
  """
  return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f'{pattern}/*')
