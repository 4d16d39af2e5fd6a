"""What to learn, and how it is measured: two values, which an experiment ties to sources."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from posejax.codecs import Codec
from posejax.labels import LabelSpace
from posejax.types import Batch, Predictions, TotalFn, TransformFn, Variables


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


ViewFn = Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Task:
  """What to learn and how to use it, as pure functions. How to learn it is posejax.train's business.

  Attributes:
    labels: what the net can name.
    input_size: (H, W) of the net's input.
    init: `key -> variables`.
    loss: `(variables, batch, key, total) -> (scalar, Aux)`; the mean over the batch's examples. Traced.
      What it divides by is `total(counts)` where that is to be the whole batch's. None of a net that is
      used as it was published, and not trained.
    infer: `(variables, images uint8 [B, H, W, 3]) -> predictions`, see `posejax.types`. Traced. It takes
      no labels: it is what is exported and served. Where `inputs` names more of a batch, that follows.
    transform_train, transform_eval: `(example, rng) -> arrays` of one example (host).
    view: `(picture uint8 [h, w, 3], box [4] or None) -> (image uint8 [H, W, 3], crop_to_image [2, 3])`:
      what `infer` is shown of a picture, without randomness (host). None looks at the whole picture.
    draw: `(batch, predictions) -> {panel name: uint8 [H, W, 3]}` (host), for people to look at; an
      empty dict of predictions draws what goes in, a first batch with its targets.
    codec: reads keypoints off the net's outputs; None where it finds none.
    taken: how `infer` takes predictions, for metrics' names: 'flip+shift', 'flip', 'noflip' or nothing.
    finds_all: whether the net finds everything on a whole picture at once; `infer` then gives `boxes`,
      `scores` and `labels` of each picture, and nobody need say where to look.
    inputs: keys of a batch that `infer` takes, in order: `images`, and `image_size` where a net must
      know how much of its canvas a picture fills.
    box_padding: what `view` shows of a box is so many times as large as the box, brought to the aspect
      of `input_size`; 1 where it shows the box itself. So whoever looks for the next box of a film need
      not pad it, and programs without posejax can cut out as `view` does.
  """

  labels: LabelSpace
  input_size: tuple[int, int]
  init: Callable[[jax.Array], Variables]
  loss: Callable[[Variables, Batch, jax.Array, TotalFn], tuple[jax.Array, Aux]] | None
  infer: Callable[..., Predictions]
  transform_train: TransformFn
  transform_eval: TransformFn
  view: ViewFn
  draw: Callable[[Batch, Predictions], dict[str, np.ndarray]]
  codec: Codec | None = None
  taken: str = ''
  finds_all: bool = False
  inputs: tuple[str, ...] = ('images',)
  box_padding: float = 1.0


@dataclasses.dataclass(frozen=True)
class Evaluator:
  """How predictions are measured on one source, as pure functions.

  Attributes:
    measure: `(predictions, batch) -> sums`, a pytree that adds up over batches; padding (`mask` 0)
      adds nothing. Traced.
    summarize: `(sums, records) -> {metric name: float}` (host).
    main_metric: the one of `summarize`'s names that tells which checkpoint is the best where
      `config.best_metric` is empty, such as `accuracy`.
    main_mode: 'max' where a higher `main_metric` is better, else 'min'.
    records: `(predictions, batch) -> list of per-example results` (numpy, host), for metrics that
      need every example at once; or None.
    results: `records -> {name: value}` (host): what `--mode=eval` writes as JSON, a file for each name,
      beside the figures; or None.
    draw_totals: `sums -> {panel name: uint8 [H, W, 3]}` (host), of a whole evaluation; or None.
  """

  measure: Callable[[Predictions, Batch], Any]
  summarize: Callable[[Any, list], dict[str, float]]
  main_metric: str
  main_mode: str = 'max'
  records: Callable[[Predictions, Batch], list] | None = None
  results: Callable[[list], dict[str, Any]] | None = None
  draw_totals: Callable[[Any], dict[str, np.ndarray]] | None = None
