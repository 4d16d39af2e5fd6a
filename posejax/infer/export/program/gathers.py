"""XLA's gather, taken apart into the forms that indexing and `take_along_axis` give it.

`numbers` are its `GatherDimensionNumbers`; indices are `[..., n]`, one for each axis of
`numbers.start_index_map`.
"""

from typing import Any

import numpy as np

from posejax.infer.export.program.values import Graph, same_size


def same_starts(indices: np.ndarray, numbers: Any) -> tuple[dict[int, int], np.ndarray, Any]:
  """Return where all windows start along axes where they start at one place, and what is left.

  Args:
    indices: known ones.
    numbers: of the gather.

  Returns:
    The place by axis; the indices and the numbers of the gather of what is cut out there.
  """
  starts, left = {}, []
  for i, axis in enumerate(numbers.start_index_map):
    column = indices[..., i]
    if axis in numbers.collapsed_slice_dims or (column != column.flat[0]).any():
      left.append(i)
    else:
      starts[axis] = int(column.flat[0])
  axes = tuple(numbers.start_index_map[i] for i in left)
  return starts, indices[..., left], numbers._replace(start_index_map=axes)


def apart(indices: np.ndarray, numbers: Any, shape: tuple) -> dict[int, np.ndarray] | None:
  """Return the places along each indexed axis, where those of one do not depend on another's.

  Args:
    indices: known ones.
    numbers: of the gather, without batching axes.
    shape: of what is gathered from.
  """
  indexed = numbers.start_index_map
  if tuple(indexed) != tuple(numbers.collapsed_slice_dims) or indices.ndim - 1 != len(indexed):
    return None
  found = {}
  for i, axis in enumerate(indexed):
    line = np.moveaxis(indices[..., i], i, -1).reshape(-1, indices.shape[i])
    if not isinstance(shape[axis], int) or (line != line[:1]).any():
      return None
    if line[0].min() < 0 or line[0].max() >= shape[axis]:
      return None
    found[axis] = line[0]
  return found


def axes_apart(places: dict[int, np.ndarray], numbers: Any, rank: int) -> list[int]:
  """Return which axis of the result each axis becomes, after taking `places` along axes.

  Args:
    places: of `apart`.
    numbers: of the gather.
    rank: of what is gathered from.
  """
  kept = [axis for axis in range(rank) if axis not in places]
  target = dict(zip(kept, numbers.offset_dims, strict=True))
  others = [axis for axis in range(rank) if axis not in numbers.offset_dims]
  target.update(zip(places, others, strict=True))
  return [target[axis] for axis in range(rank)]


def taken_whole(graph: Graph, shape: tuple, numbers: Any, sizes: tuple) -> list[int]:
  """Return the axes that every window has all of, where along all others it has one element.

  Raises:
    CannotWriteError: windows are of another form.
  """
  indexed, batching = numbers.start_index_map, numbers.operand_batching_dims
  rest = [axis for axis in range(len(shape)) if axis not in (*indexed, *batching)]
  if any(sizes[axis] != 1 for axis in indexed) or any(
    not same_size(sizes[axis], shape[axis]) for axis in rest
  ):
    raise graph.no_rule("'gather' of windows of several elements at many places")
  if not set(indexed) <= set(numbers.collapsed_slice_dims) or any(
    not isinstance(shape[axis], int) for axis in indexed
  ):
    raise graph.no_rule("'gather' of an index along the batch, or an axis of size 1 kept")
  return rest
