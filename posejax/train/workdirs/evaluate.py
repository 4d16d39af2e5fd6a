"""`--mode=eval`: measure a checkpoint of a work directory."""

import json
import math
import os
from typing import Any

import jax

from posejax import devices, draw, files
from posejax import experiment as experiments
from posejax.errors import PosejaxError, is_disk_full
from posejax.labels import LabelSpace
from posejax.runs import origin, saved_run
from posejax.runs.changes import evaluate_with
from posejax.train.evaluate import Evaluated, Evaluations
from posejax.train.feed import batches_of


def evaluate_workdir(
  workdir: str, which: str, overrides: dict[str, Any] | None = None
) -> dict[str, float]:
  """Evaluate one checkpoint, print its metrics and write them beside it.

  Writes `<workdir>/eval-<step>.json`: metrics, one that is not finite null, the overrides, and the
  fingerprints of the data; the next evaluation of the step replaces it. The predictions are drawn as
  `<workdir>/eval-<step>.png`, and the task's other pictures as `<workdir>/eval-<step>-<panel name>.png`.
  What else the evaluation found, such as a detector's boxes, is `<workdir>/eval-<step>-<name>.json`.

  Args:
    workdir: of a training run.
    which: 'best', 'latest' or a step.
    overrides: of the run's config, see `posejax.runs.changes.evaluate_with`.

  Returns:
    The metrics.

  Raises:
    PosejaxError: there is no such checkpoint, it is not to be evaluated so, or the disk is full.
  """
  step = devices.from_first(lambda: saved_run.chosen_step(workdir, which))
  run = saved_run.read(workdir, str(step))
  meta = run.meta
  config = evaluate_with(run.config, overrides or {})
  origin.check_same(config)
  mesh = devices.make_mesh()
  # The run's batch_size, the default, cannot be set for an evaluation; this key can.
  batch_size = config.evaluate.batch_size or config.batch_size
  devices.check_batch_size('evaluate.batch_size', batch_size, mesh.size)
  experiment = experiments.from_config(config)
  _check_labels(experiment.task.labels, run.labels)
  variables = devices.put_replicated(run.variables, mesh)
  result = Evaluations(experiment, mesh)(variables, batches_of(config))
  if jax.process_index() == 0:
    name = os.path.join(workdir, f'eval-{step}')
    others = _write(name, {'step': step, **_taken(overrides or {}, experiment)}, result)
    sources = [evaluation.source for evaluation in experiment.evaluations.values()]
    measured = ', '.join(f'{len(source):,} of {source.name}' for source in sources)
    print(f'Checkpoint of step {step}, {measured}:')
    if 'data.annotations' in (overrides or {}) and config.data.is_parted:
      print(
        '  (a tenth of a file, held out from training; all of it: --config.data.eval.annotations=FILE '
        '--config.data.eval.images=DIR)'
      )
    for which, (source, _) in experiment.evaluations.items():
      before = meta.get('data', {}).get(which, source.fingerprint)
      if before != source.fingerprint:
        print(f'  ({which}: not what the run was evaluated on: that was {before})')
    for metric, value in result.metrics.items():
      print(f'  {metric:40s} {value:.4f}')
    print(f'Written to {name}.json; predictions drawn in {name}.png.')
    for path in others:
      print(f'Written to {path}.')
  return result.metrics


def _taken(overrides: dict[str, Any], experiment: experiments.Experiment) -> dict[str, Any]:
  """Return how it was measured: what differs from the run's config, and on what data."""
  data = {which: source.fingerprint for which, (source, _) in experiment.evaluations.items()}
  return {'overrides': overrides, 'data': data}


def _write(name: str, values: dict[str, Any], result: Evaluated) -> list[str]:
  """Write all files, figures after `values`; return the paths of those beside figures and pictures."""
  values = values | {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
  try:
    files.replace(f'{name}.json', json.dumps(values, indent=2, allow_nan=False).encode())
    for panel, image in result.panels.items():
      draw.save(f'{name}.png' if panel == 'panels' else f'{name}-{panel}.png', image)
    others = {f'{name}-{which}.json': value for which, value in result.results().items()}
    for path, value in others.items():
      files.replace(path, json.dumps(value, allow_nan=False).encode())
  except OSError as error:
    if not is_disk_full(error):
      raise
    raise PosejaxError(
      f'Could not write {name}.json and its pictures: the disk is full. Free some space and give the '
      'same command again.'
    ) from error
  return list(others)


def _check_labels(here: LabelSpace, there: LabelSpace) -> None:
  if here.keypoints != there.keypoints:
    raise PosejaxError(
      f'The net was trained on the keypoints {list(there.keypoints)}; the data to evaluate on have '
      f"{list(here.keypoints)}. Map them to the net's with config.data.name='mixture'."
    )
  if here.class_names != there.class_names:
    raise PosejaxError(
      f'The net tells the classes {there.class_names}; the data to evaluate on have {here.class_names}.'
    )
