"""Where the training state lies: whole on every device, or in parts over some (`config.mesh.state`).

Parameters, their average and the optimiser's state are cut along a dimension that the neighbours
divide; what is small, counts steps or is a statistic is whole everywhere. A step gathers the
parameters, computes as always, and leaves each device the gradient of its part. So a compiler need not
find out how to convolve with a part of a kernel.
"""

from functools import partial
import math
from typing import Any

import jax
from jax import lax
from jax.flatten_util import ravel_pytree
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from posejax import devices
from posejax.train.step.state import TrainState

SMALL = 2**14
"""Arrays of fewer values are whole everywhere: gathering them costs more than they take."""
_IN_PARTS = ('params', 'ema_params', 'opt_state')


def axis_of(shape: tuple[int, ...], parts: int) -> int | None:
  """Return along which axis an array is cut: the longest that `parts` divides, or none.

  It is the last one only where there is no other: for Muon's products a compiler gathers a 3x3 kernel
  whose inputs are cut once, and one whose outputs are cut fifteen times.
  """
  axes = [axis for axis, side in enumerate(shape) if side % parts == 0]
  if parts == 1 or math.prod(shape) < SMALL or not axes:
    return None
  axes = [axis for axis in axes if axis < len(shape) - 1] or axes
  return max(axes, key=lambda axis: (shape[axis], axis))


def specs(tree: Any, parts: int) -> Any:
  """Return the partition of every array, or shape, of parameters or of what an optimiser has of them."""

  def spec(array) -> PartitionSpec:
    axis = axis_of(array.shape, parts)
    return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, devices.STATE_AXIS)

  return jax.tree.map(spec, tree)


def of_state(state: TrainState, mesh: Mesh) -> TrainState:
  """Return where every array of a state, or of its shapes, lies on a mesh."""
  parts = mesh.shape[devices.STATE_AXIS]
  fields = {
    name: specs(value, parts if name in _IN_PARTS else 1)
    for name, value in state.to_arrays().items()
  }
  return jax.tree.map(lambda spec: NamedSharding(mesh, spec), TrainState.from_arrays(fields))


def gather(tree: Any, partition: Any) -> Any:
  """Return a device's parts as whole arrays; runs once per device."""

  def whole(array: jax.Array, spec: PartitionSpec) -> jax.Array:
    if devices.STATE_AXIS not in spec:
      return array
    return lax.all_gather(array, devices.STATE_AXIS, axis=len(spec) - 1, tiled=True)

  return jax.tree.map(whole, tree, partition)


def average(grads: Any, others: Any, in_one: bool = False) -> tuple[Any, Any]:
  """Return averages over all devices, of gradients a device's part; runs once per device.

  Args:
    grads: of the loss.
    others: further averages of a batch.
    in_one: whether all that is whole goes as one vector; see `_mean_of_one_vector`.
  """
  parts = lax.axis_size(devices.STATE_AXIS)
  flat, structure = jax.tree.flatten(grads)
  axes = [axis_of(grad.shape, parts) for grad in flat]
  # What is whole goes in one call: compilers join the sums of its arrays, and each sum apart costs a
  # round over the devices. Sums of what is cut are of parts already.
  uncut = [grad for grad, axis in zip(flat, axes, strict=True) if axis is None]
  mean = _mean_of_one_vector if in_one else partial(lax.pmean, axis_name=devices.AXES)
  uncut, others = mean((uncut, others))
  cut = [
    lax.psum_scatter(grad, devices.STATE_AXIS, scatter_dimension=axis, tiled=True) / parts
    for grad, axis in zip(flat, axes, strict=True)
    if axis is not None
  ]
  cut = lax.pmean(cut, devices.DATA_AXIS) if cut else []
  uncut, cut = iter(uncut), iter(cut)
  averaged = [next(uncut if axis is None else cut) for axis in axes]
  return jax.tree.unflatten(structure, averaged), others


def _mean_of_one_vector(tree: Any) -> Any:
  """Return the averages of a tree, exchanged as one vector of each type.

  Between slices compilers sum array by array, each with a round over the network of its own, and send an
  array that a slice's chips do not divide as a whole from each of them. For that, two copies are cheap.
  """
  leaves, structure = jax.tree.flatten(tree)
  averaged: dict[int, jax.Array] = {}
  for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):
    numbers = [number for number, leaf in enumerate(leaves) if leaf.dtype == dtype]
    vector, taken_apart = ravel_pytree([leaves[number] for number in numbers])
    free = -len(vector) % lax.axis_size(devices.AXES)
    mean = lax.pmean(jnp.pad(vector, (0, free)), devices.AXES)[: len(vector)]
    averaged |= zip(numbers, taken_apart(mean), strict=True)
  return jax.tree.unflatten(structure, [averaged[number] for number in range(len(leaves))])
