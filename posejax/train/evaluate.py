"""Evaluation: every example once, sums on the device, one division at the end."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.data.batches import EvalBatches
from posejax.tasks.base import Evaluator, Task
from posejax.train.feed import batch_shapes, eval_batches
from posejax.types import Batch, Predictions, Variables

Iterate = Callable[..., Iterator[Batch]]
EvalStep = Callable[[Variables, Batch], tuple[Any, Predictions]]


class Evaluated(NamedTuple):
  """What an evaluation gives.

  Attributes:
    metrics: name -> value.
    panels: name -> picture: of the first batch's predictions, and of the totals.
    results: what makes the values to be written as JSON by name (`posejax.tasks.Evaluator.results`).
  """

  metrics: dict[str, float]
  panels: dict[str, np.ndarray]
  results: Callable[[], dict[str, Any]]


class _Set(NamedTuple):
  """One set to measure on: its batches, how, and the compiled step."""

  batches: EvalBatches
  evaluator: Evaluator
  step: EvalStep


class Evaluations:
  """All evaluations of an experiment, compiled for a mesh.

  What belongs to another set than the main one has the set's name before its own: `lspet/AUC/torso`.
  """

  def __init__(self, experiment: experiments.Experiment, mesh: Mesh):
    self._task, self._mesh = experiment.task, mesh
    self._sets = {
      name: _Set(
        eval_batches(experiment, source),
        evaluator,
        compile_step(experiment.task, evaluator, mesh),
      )
      for name, (source, evaluator) in experiment.evaluations.items()
    }

  def __call__(self, variables: Variables, iterate: Iterate) -> Evaluated:
    """Measure `variables` on every set, whose batches `iterate` makes."""
    variables = devices.gathered(variables, self._mesh)
    metrics, panels, results = {}, {}, []
    for number, (name, one) in enumerate(self._sets.items()):
      found = self._evaluate(one, variables, iterate(one.batches, 0, len(one.batches)))
      metrics |= {f'{name}/{k}' if number else k: v for k, v in found.metrics.items()}
      panels |= {f'{name}-{k}' if number else k: v for k, v in found.panels.items()}
      results.append((f'{name}-' if number else '', found.results))

    def all_results() -> dict[str, Any]:
      return {f'{prefix}{k}': v for prefix, of_set in results for k, v in of_set().items()}

    return Evaluated(metrics, panels, all_results)

  def metric_names(self, variables: Variables) -> set[str]:
    """Return the names that an evaluation will give, without running it; shapes of variables suffice."""
    names = set()
    # Placed as what will be evaluated: only then is what is traced here not traced again there.
    whole = devices.replicated(self._mesh)
    variables = devices.placed_shapes(variables, jax.tree.map(lambda a: whole, variables))
    for number, (name, one) in enumerate(self._sets.items()):
      shapes, _ = one.step.eval_shape(variables, batch_shapes(one.batches, self._mesh))
      zeros = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)
      names |= {f'{name}/{k}' if number else k for k in one.evaluator.summarize(zeros, [])}
    return names

  def _evaluate(self, one: _Set, variables: Variables, batches: Iterator[Batch]) -> Evaluated:
    """Measure on one set. The records of a batch are made while the next one is computed."""
    evaluator = one.evaluator
    totals, records, panels, pending = None, [], {}, None
    for number, batch in enumerate(batches):
      sums, predictions = one.step(variables, devices.put_batch(batch, self._mesh))
      totals = sums if totals is None else jax.tree.map(jnp.add, totals, sums)
      rows = _LocalRows(predictions)
      # Process 0 alone writes pictures, and has examples however few there are.
      if number == 0 and jax.process_index() == 0:
        panels = self._task.draw(batch, rows)
      if evaluator.records is not None:
        if pending is not None:
          records += evaluator.records(*pending)
        pending = (rows, batch)
    if pending is not None:
      records += evaluator.records(*pending)
    records = devices.gather(records)
    totals = jax.tree.map(np.asarray, totals)
    if evaluator.draw_totals is not None:
      panels |= evaluator.draw_totals(totals)
    results = dict if evaluator.results is None else partial(evaluator.results, records)
    # AP matches all records: once, and not on every process at the same time.
    metrics = devices.from_first(lambda: evaluator.summarize(totals, records))
    return Evaluated(metrics, panels, results)


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


def compile_step(task: Task, evaluator: Evaluator, mesh: Mesh) -> EvalStep:
  """Compile `(variables, batch) -> (sums over the global batch, predictions)` for the mesh."""

  def eval_step(variables: Variables, batch: Batch):
    predictions = task.infer(variables, *(batch[name] for name in task.inputs))
    return evaluator.measure(predictions, batch), predictions

  whole, split = devices.replicated(mesh), devices.sharded(mesh)
  return jax.jit(eval_step, in_shardings=(whole, split), out_shardings=(whole, split))
