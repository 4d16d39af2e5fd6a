"""`--mode=eval`: measure a checkpoint of a work directory."""

import json
import os

import jax

from posejax import draw
from posejax import experiment as experiments
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.train import checkpoint, parallel
from posejax.train.evaluate import compile_eval_step, evaluate
from posejax.train.loop import batches_of, eval_batches


def evaluate_workdir(workdir: str, which: str) -> dict[str, float]:
  """Evaluate one checkpoint, print its metrics and write them beside it.

  Writes `<workdir>/eval-<step>.json`, the predictions as `<workdir>/eval-<step>.png`, and the task's
  other pictures as `<workdir>/eval-<step>-<panel name>.png`.

  Args:
    workdir: of a training run.
    which: 'best', 'latest' or a step.

  Returns:
    The metrics.

  Raises:
    PosejaxError: there is no such checkpoint.
  """
  _, meta = checkpoint.restore_with_meta(workdir)
  step = _step_of(which, meta)
  arrays, meta = checkpoint.restore_with_meta(workdir, step)
  step = int(arrays['step'])
  config = Config.from_dict(meta['config'])
  mesh = parallel.make_mesh()
  parallel.check_batch_size(
    'batch_size', config.evaluate.batch_size or config.batch_size, mesh.size
  )
  experiment = experiments.from_config(config)
  variables = {'params': arrays.get('ema_params', arrays['params']), **arrays['model_state']}
  batches = eval_batches(experiment)
  result = evaluate(
    experiment.task,
    compile_eval_step(experiment.task, mesh),
    parallel.put_replicated(variables, mesh),
    batches_of(config)(batches, 0, len(batches)),
    mesh,
  )
  if jax.process_index() == 0:
    name = os.path.join(workdir, f'eval-{step}')
    with open(f'{name}.json', 'w') as file:
      json.dump({'step': step, **result.metrics}, file, indent=2)
    for panel, image in result.panels.items():
      draw.save(f'{name}.png' if panel == 'panels' else f'{name}-{panel}.png', image)
    print(f'Checkpoint of step {step}, {experiment.eval_source.name}:')
    for metric, value in result.metrics.items():
      print(f'  {metric:40s} {value:.4f}')
    print(f'Written to {name}.json; predictions drawn in {name}.png.')
  return result.metrics


def _step_of(which: str, meta: dict) -> int | None:
  if which == 'latest':
    return None
  if which == 'best':
    return meta['control']['best']['step']
  if not which.isdigit():
    raise PosejaxError(f"--checkpoint={which} must be 'best', 'latest' or a step.")
  return int(which)
