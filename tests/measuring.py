"""A task and an evaluator measured on a source, without a config of their own."""

from posejax.devices import make_mesh
from posejax.experiment import Evaluation, Experiment
from posejax.train.evaluate import Evaluations
from tests import tiny


def evaluations(task, evaluator, source, batch_size=8):
  """Return the evaluation of a source, compiled."""
  config = tiny.config(evaluate__batch_size=batch_size)
  experiment = Experiment(config, None, task, None, {'eval': Evaluation(source, evaluator)})
  return Evaluations(experiment, make_mesh())


def evaluate(task, evaluator, source, batch_size=8):
  """Return metrics and panels of every example of a source."""
  iterate = lambda batches, start, stop: map(batches, range(start, stop))  # noqa: E731
  return evaluations(task, evaluator, source, batch_size)({}, iterate)
