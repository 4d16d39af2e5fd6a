"""What an evaluation brings from the devices to the host, and how often."""

import dataclasses

import jax

from posejax import devices
from posejax import experiment as experiments
from tests import measuring, processes, tiny

# The records' rows are looked up example by example; every process has 8 examples in 2 batches.
RECORDS = """
import collections, dataclasses
import jax, jax.numpy as jnp, numpy as np
from posejax import devices, experiment
from posejax.process import distributed
from posejax.tasks.pose import measures
from posejax.tasks.base import Evaluator, Task
from posejax.train import evaluate
from tests import tiny

distributed.initialize_from_environment()
B, K, mesh = 4, 3, devices.make_mesh()
first = 2 * B * jax.process_index()

def batch(number):
  index = np.arange(B, dtype=np.int32) + first + number * B
  boxes = np.tile(np.float32([0, 0, 9, 5]), (B, 1))
  identity = np.tile(np.eye(2, 3, dtype=np.float32), (B, 1, 1))
  return {'images': index, 'index': index, 'boxes': boxes, 'crop_to_image': identity}

def infer(variables, images):
  index = images.astype(jnp.float32)
  points = index[:, None, None] + jnp.arange(2 * K, dtype=jnp.float32).reshape(K, 2)
  scores = jnp.broadcast_to(index[:, None], (len(index), K))
  heatmaps = jnp.zeros((len(index), 8, 6, K))
  return {'keypoints_crop': points, 'scores': scores, 'heatmaps': heatmaps}

def summarize(sums, records):
  for record in records:
    expected = record.index + np.arange(2 * K).reshape(K, 2)
    np.testing.assert_array_equal(record.keypoints, expected)
    np.testing.assert_array_equal(record.scores, np.full(K, record.index))
  return {'indices': sorted(record.index for record in records)}

names = [field.name for field in dataclasses.fields(Task)]
task = Task(**dict.fromkeys(names) | {
  'infer': infer,
  'inputs': ('images',),
  'draw': lambda batch, predictions: {'of the first': predictions['scores']},
})
evaluator = Evaluator(lambda predictions, batch: {}, summarize, '', records=measures.records)
shapes, local_rows = collections.Counter(), devices.local_rows

def counted(array):
  shapes[array.shape] += 1
  return local_rows(array)

devices.local_rows = counted
sets = {'eval': experiment.Evaluation([], evaluator)}
run = evaluate.Evaluations(experiment.Experiment(tiny.config(), None, task, None, sets), mesh)
figures, panels, _ = run({}, lambda *_: map(batch, range(2)))
if jax.process_index() == 0:
  assert panels['of the first'].shape == (B, K)
else:
  assert panels == {}
print(figures['indices'] == list(range(4 * B)), sorted(shapes.items()))
"""


def test_rows_come_once_for_each_name_and_batch_and_only_what_is_looked_at():
  counts = [((8, 3), 2), ((8, 3, 2), 2)]
  assert processes.last_lines(RECORDS) == [f'True {counts}'] * 2


def test_names_that_are_told_and_what_is_measured_come_of_one_trace():
  made, traced = experiments.from_config(tiny.config()), []

  def infer(variables, images):
    traced.append(images.shape)
    return made.task.infer(variables, images)

  task = dataclasses.replace(made.task, infer=infer)
  found = measuring.evaluations(task, made.main.evaluator, made.main.source)
  mesh = devices.make_mesh()
  variables = devices.compile_init(task.init, mesh)(jax.random.key(0))
  names = found.metric_names(variables)
  iterate = lambda batches, start, stop: map(batches, range(start, stop))  # noqa: E731
  assert names <= set(found(variables, iterate).metrics)
  assert traced == [(8, 32, 24, 3)]
