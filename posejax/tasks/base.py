"""What a task is to the training loop."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from posejax.types import Batch, Predictions, TransformFn, Variables


class Aux(NamedTuple):
  """What a loss gives beside its value.

  Attributes:
    model_state: updated non-parameter variables, e.g. `{'batch_stats': ...}`.
    scalars: name -> scalar, averaged over steps and logged.
    example_losses: `[B]`, so that a non-finite one can be traced to its example.
  """

  model_state: Mapping[str, Any]
  scalars: dict[str, jax.Array]
  example_losses: jax.Array


@dataclasses.dataclass(frozen=True)
class Task:
  """What to learn, as pure functions. How to learn it is posejax.train's business.

  Attributes:
    init: `key -> variables`.
    loss: `(variables, batch, key) -> (scalar, Aux)`; the mean over the batch's examples. Traced.
    predict: `(variables, batch) -> predictions`. Traced.
    measure: `(predictions, batch) -> sums`, a pytree that adds up over batches; padding (`mask` 0)
      adds nothing. Traced.
    records: `(predictions, batch) -> list of per-example results` (numpy, host), for metrics that
      need every example at once; or None.
    summarize: `(sums, records) -> {metric name: float}` (host).
    draw: `(batch, predictions) -> {panel name: uint8 [H, W, 3]}` (host), for people to look at.
    draw_totals: `sums -> {panel name: uint8 [H, W, 3]}` (host), of a whole evaluation; or None.
    main_metric: the one of `summarize`'s names, higher is better, that tells which checkpoint is the
      best where `config.best_metric` is empty, such as `accuracy`.
    prepare_train, prepare_eval: `(example, rng) -> arrays` of one example (host).
  """

  init: Callable[[jax.Array], Variables]
  loss: Callable[[Variables, Batch, jax.Array], tuple[jax.Array, Aux]]
  predict: Callable[[Variables, Batch], Predictions]
  measure: Callable[[Predictions, Batch], Any]
  summarize: Callable[[Any, list], dict[str, float]]
  draw: Callable[[Batch, Predictions], dict[str, np.ndarray]]
  main_metric: str
  prepare_train: TransformFn
  prepare_eval: TransformFn
  records: Callable[[Predictions, Batch], list] | None = None
  draw_totals: Callable[[Any], dict[str, np.ndarray]] | None = None
