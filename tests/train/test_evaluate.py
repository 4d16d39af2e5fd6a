"""What an evaluation brings from the devices to the host, and how often."""

from tests import processes

# The records' rows are looked up example by example; every process has 8 examples in 2 batches.
RECORDS = """
import collections, dataclasses
import jax, jax.numpy as jnp, numpy as np
from posejax import devices, distributed
from posejax.metrics import coco_ap
from posejax.tasks.base import Task
from posejax.train import evaluate

distributed.initialize_from_environment()
B, K, mesh = 4, 3, devices.make_mesh()
first = 2 * B * jax.process_index()

def batch(number):
  index = np.arange(B, dtype=np.int32) + first + number * B
  return {'index': index, 'boxes': np.tile(np.float32([0, 0, 9, 5]), (B, 1))}

def predict(variables, batch):
  index = batch['index'].astype(jnp.float32)
  points = index[:, None, None] + jnp.arange(2 * K, dtype=jnp.float32).reshape(K, 2)
  scores = jnp.broadcast_to(index[:, None], (len(index), K))
  heatmaps = jnp.zeros((len(index), 8, 6, K))
  return {'keypoints_image': points, 'scores': scores, 'heatmaps': heatmaps}

def summarize(sums, records):
  for record in records:
    expected = record.index + np.arange(2 * K).reshape(K, 2)
    np.testing.assert_array_equal(record.keypoints, expected)
    np.testing.assert_array_equal(record.scores, np.full(K, record.index))
  return {'indices': sorted(record.index for record in records)}

names = [field.name for field in dataclasses.fields(Task)]
task = Task(**dict.fromkeys(names) | {
  'predict': predict,
  'measure': lambda predictions, batch: {},
  'records': coco_ap.make_records,
  'summarize': summarize,
  'draw': lambda batch, predictions: {'of the first': predictions['scores']},
})
shapes, local_rows = collections.Counter(), devices.local_rows

def counted(array):
  shapes[array.shape] += 1
  return local_rows(array)

devices.local_rows = counted
step = evaluate.compile_eval_step(task, mesh)
figures, panels = evaluate.evaluate(task, step, {}, map(batch, range(2)), mesh)
assert panels['of the first'].shape == (B, K)
print(figures['indices'] == list(range(4 * B)), sorted(shapes.items()))
"""


def test_rows_come_once_for_each_name_and_batch_and_only_what_is_looked_at():
  counts = [((8, 3), 2), ((8, 3, 2), 2)]
  assert processes.last_lines(RECORDS) == [f'True {counts}'] * 2
