"""Evaluation: every example once, sums on the device, one division at the end."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from posejax import devices
from posejax.tasks.base import Task
from posejax.types import Batch, Predictions, Variables

EvalStep = Callable[[Variables, Batch], tuple[Any, Predictions]]


class Evaluation(NamedTuple):
  """What an evaluation gives.

  Attributes:
    metrics: name -> value.
    panels: name -> picture: of the first batch's predictions, and of the totals.
  """

  metrics: dict[str, float]
  panels: dict[str, np.ndarray]


def compile_eval_step(task: Task, mesh: Mesh) -> EvalStep:
  """Compile `(variables, batch) -> (sums over the global batch, predictions)` for the mesh."""

  def eval_step(variables: Variables, batch: Batch):
    predictions = task.predict(variables, batch)
    return task.measure(predictions, batch), predictions

  whole, split = devices.replicated(mesh), devices.sharded(mesh)
  return jax.jit(eval_step, in_shardings=(whole, split), out_shardings=(whole, split))


def evaluate(
  task: Task, eval_step: EvalStep, variables: Variables, batches: Iterable[Batch], mesh: Mesh
) -> Evaluation:
  """Measure `variables` on all of `batches` (numpy, padded and masked).

  The records of a batch are made while the next one is computed.
  """
  totals, records, panels, pending = None, [], {}, None
  for number, batch in enumerate(batches):
    sums, predictions = eval_step(variables, devices.put_batch(batch, mesh))
    totals = sums if totals is None else jax.tree.map(jnp.add, totals, sums)
    rows = _LocalRows(predictions)
    if number == 0:
      panels = task.draw(batch, rows)
    if task.records is not None:
      if pending is not None:
        records += task.records(*pending)
      pending = (rows, batch)
  if pending is not None:
    records += task.records(*pending)
  records = devices.gather(records)
  totals = jax.tree.map(np.asarray, totals)
  if task.draw_totals is not None:
    panels |= task.draw_totals(totals)
  return Evaluation(task.summarize(totals, records), panels)


class _LocalRows(Mapping):
  """Predictions that come to the host when they are first looked at, this process's rows of them.

  Records need points and scores of every example; heatmaps, a hundred times as large, stay behind.
  """

  def __init__(self, predictions: Predictions):
    self._predictions = predictions
    self._rows = {}

  def __getitem__(self, key: str) -> np.ndarray:
    if key not in self._rows:
      self._rows[key] = devices.local_rows(self._predictions[key])
    return self._rows[key]

  def __iter__(self):
    return iter(self._predictions)

  def __len__(self) -> int:
    return len(self._predictions)


def metric_names(task: Task, eval_step: EvalStep, variables: Variables, batch: Batch) -> set[str]:
  """Return the names that an evaluation will give, without running it."""
  shapes, _ = jax.eval_shape(eval_step, variables, batch)
  return set(task.summarize(jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes), []))
