"""A run's checkpoint opened to be used: its config, what it learned, and what its numbers stand for."""

import sys
from typing import Any, NamedTuple

from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.runs import checkpoint, older
from posejax.runs.saved_net import SavedNet
from posejax.types import Variables


class SavedRun(NamedTuple):
  """What a checkpoint holds.

  Attributes:
    config: the run's.
    variables: averaged parameters where the run has them, and the model's state. NumPy.
    step: of the checkpoint.
    meta: everything else; see `posejax.runs.checkpoint`.
  """

  config: Config
  variables: Variables
  step: int
  meta: dict[str, Any]

  @property
  def labels(self) -> LabelSpace:
    """What the net's outputs stand for."""
    return older.label_space(self.meta)

  def net(self) -> SavedNet:
    """Return what is used of it, called by what it is and, where it is the best, how good."""
    best = self.meta['control']['best']
    measured = best['value'] is not None and best['step'] == self.step
    score = f', {best["metric"]} {best["value"]:.4f}' if measured else ''
    average = ', averaged parameters' if self.config.optimizer.ema_decay is not None else ''
    name = f'{self.config.model.get("name", "net")}, step {self.step}{score}{average}'
    return SavedNet(name, self.config, self.variables, self.labels)


def read(workdir: str, which: str) -> SavedRun:
  """Read one checkpoint of a work directory.

  Args:
    workdir: of a training run.
    which: 'best', 'latest' or a step. Where no evaluation gave the best a finite value, 'best' is the
      latest, which is said on standard error; a run that was never evaluated needs no words.

  Raises:
    PosejaxError: there is no such checkpoint.
  """
  step = chosen_step(workdir, which)
  meta = checkpoint.read_meta(workdir, step)
  config = Config.from_dict(older.config_values(meta['config']))
  variables = checkpoint.restore_variables(workdir, step)
  return SavedRun(config, variables, step, meta)


def chosen_step(workdir: str, which: str) -> int:
  """Return the step of the checkpoint that `read` reads; same arguments and errors."""
  return checkpoint.existing_step(workdir, _step_of(which, workdir))


def _step_of(which: str, workdir: str) -> int | None:
  if which == 'latest':
    return None
  if which == 'best':
    meta = checkpoint.read_meta(workdir)
    best = meta['control']['best']
    if best['step'] is None and meta.get('evaluated_step'):
      print(
        f'No evaluation of {workdir} gave a finite {best["metric"]}, so none of its checkpoints is the '
        "best: its latest is taken ('latest').",
        file=sys.stderr,
      )
    return best['step']
  if not which.isdigit():
    raise PosejaxError(f"--checkpoint={which} must be 'best', 'latest' or a step.")
  return int(which)
