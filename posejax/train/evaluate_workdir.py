"""`--mode=eval`: measure a checkpoint of a work directory."""

import json
import os
from typing import Any

import jax

from posejax import devices, draw
from posejax import experiment as experiments
from posejax.config import evaluate_with
from posejax.errors import PosejaxError
from posejax.runs import saved_run
from posejax.skeletons import Skeleton
from posejax.train.evaluate import compile_eval_step, evaluate
from posejax.train.feed import batches_of, eval_batches


def evaluate_workdir(
  workdir: str, which: str, overrides: dict[str, Any] | None = None
) -> dict[str, float]:
  """Evaluate one checkpoint, print its metrics and write them beside it.

  Writes `<workdir>/eval-<step>.json`, the predictions as `<workdir>/eval-<step>.png`, and the task's
  other pictures as `<workdir>/eval-<step>-<panel name>.png`.

  Args:
    workdir: of a training run.
    which: 'best', 'latest' or a step.
    overrides: of the run's config, see `posejax.config.evaluate_with`.

  Returns:
    The metrics.

  Raises:
    PosejaxError: there is no such checkpoint, or it is not to be evaluated so.
  """
  run = saved_run.read(workdir, which)
  step, meta = run.step, run.meta
  config = evaluate_with(run.config, overrides or {})
  mesh = devices.make_mesh()
  devices.check_batch_size('batch_size', config.evaluate.batch_size or config.batch_size, mesh.size)
  experiment = experiments.from_config(config)
  _check_skeleton(experiment.skeleton, meta['skeleton'])
  batches = eval_batches(experiment)
  result = evaluate(
    experiment.task,
    compile_eval_step(experiment.task, mesh),
    devices.put_replicated(run.variables, mesh),
    batches_of(config)(batches, 0, len(batches)),
    mesh,
  )
  if jax.process_index() == 0:
    name = os.path.join(workdir, f'eval-{step}')
    with open(f'{name}.json', 'w') as file:
      json.dump({'step': step, **result.metrics}, file, indent=2)
    for panel, image in result.panels.items():
      draw.save(f'{name}.png' if panel == 'panels' else f'{name}-{panel}.png', image)
    source = experiment.eval_source
    print(f'Checkpoint of step {step}, {source.name}:')
    if meta.get('data', {}).get('eval', source.fingerprint) != source.fingerprint:
      print(f'  (not what the run was evaluated on: that was {meta["data"]["eval"]})')
    for metric, value in result.metrics.items():
      print(f'  {metric:40s} {value:.4f}')
    print(f'Written to {name}.json; predictions drawn in {name}.png.')
  return result.metrics


def _check_skeleton(skeleton: Skeleton | None, before: dict[str, Any] | None) -> None:
  now = list(skeleton.keypoints) if skeleton else None
  then = list(before['keypoints']) if before else None
  if now != then:
    raise PosejaxError(
      f'The net was trained on the keypoints {then}; the data to evaluate on have {now}. Map them to '
      "the net's with config.data.name='mixture'."
    )
