"""What a reshape does to the axes of an array."""

from posejax.infer.export.program.values import Value, same_size

Groups = list[tuple[list[int], list[int]]]
"""Axes of the old shape, and the axes of the new one that they become."""


def groups(old: tuple, new: tuple) -> Groups | None:
  """Return which axes of a shape become which of another; None where that cannot be said.

  Axes of size 1 that have no partner go with the axes before them.
  """
  found, i, j = [], 0, 0
  while i < len(old) or j < len(new):
    mine, theirs = [], []
    if i < len(old) and j < len(new):
      mine, theirs, i, j = [i], [j], i + 1, j + 1
      a, b = old[mine[0]], new[theirs[0]]
      while not same_size(a, b):
        if not isinstance(a, int) or not isinstance(b, int):
          return None
        if a < b and i < len(old) and isinstance(old[i], int):
          a, mine, i = a * old[i], [*mine, i], i + 1
        elif b < a and j < len(new) and isinstance(new[j], int):
          b, theirs, j = b * new[j], [*theirs, j], j + 1
        else:
          return None
      found.append((mine, theirs))
    elif found:  # trailing axes of size 1
      found[-1][0].extend(range(i, len(old)))
      found[-1][1].extend(range(j, len(new)))
      i, j = len(old), len(new)
    else:
      return None
  return found


def repeats(x: Value, shape: tuple, found: Groups) -> dict[int, int] | None:
  """Return how many times each element is repeated along axes of `shape`, where a reshape does just that.

  Args:
    x: an array that is repeated along axes of its own, each behind the axis that it is merged with.
    shape: of the result.
    found: `groups` of both shapes.
  """
  lacking = {
    axis for axis, size in zip(x.order, x.stored, strict=True) if not same_size(size, x.shape[axis])
  }
  if not lacking or len(found) != len(shape) or any(len(theirs) != 1 for _, theirs in found):
    return None
  factors = {}
  for mine, (target,) in found:
    if lacking.intersection(mine):
      if len(mine) != 2 or mine[0] in lacking:
        return None
      factors[target] = x.shape[mine[1]]
    elif len(mine) != 1:
      return None
  return factors
