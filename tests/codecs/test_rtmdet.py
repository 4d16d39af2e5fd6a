"""RTMDet's boxes and targets against mmdet's own answers (tests/goldens/make_rtmdet.py) and by hand."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.codecs import rtmdet, rtmdet_targets
from tests import compiling

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens' / 'rtmdet.npz'
SIZE = (96, 64)
N = 12  # places for true boxes, some empty
losses_of = functools.partial(rtmdet_targets.losses, total=lambda counts: counts)


@pytest.fixture(scope='module')
def goldens():
  with np.load(GOLDENS) as file:
    return dict(file)


def padded(array, rows=N):
  return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


@functools.cache
def assign():
  return compiling.jit(rtmdet_targets.assign)


@pytest.mark.parametrize('case', range(4))
def test_who_answers_for_whom_is_mmdets_choice(goldens, case):
  g = {name: goldens[f'assign{case}/{name}'] for name in ('boxes', 'logits', 'truth', 'labels')}
  mask = np.arange(N) < len(g['truth'])
  box, overlap = assign()(
    g['boxes'], g['logits'], rtmdet.points(SIZE), padded(g['truth']), padded(g['labels']), mask
  )
  np.testing.assert_array_equal(box, goldens[f'assign{case}/answers'])
  np.testing.assert_allclose(overlap, goldens[f'assign{case}/overlap'], atol=1e-6)
  if case < 3:
    assert (np.asarray(box) >= 0).sum() >= len(g['truth'])


def outputs_of(boxes, logits):
  """Return what a head would have to give to be decoded as these."""
  points = np.asarray(rtmdet.points(SIZE))[:, :2]
  distances = np.concatenate([points - boxes[:, :2], boxes[:, 2:] - points], 1)
  outputs, start = {}, 0
  for stride in rtmdet.STRIDES:
    h, w = SIZE[0] // stride, SIZE[1] // stride
    rows = slice(start, start + h * w)
    start += h * w
    outputs[f'distances_{stride}'] = distances[rows].reshape(1, h, w, 4)
    outputs[f'classes_{stride}'] = logits[rows].reshape(1, h, w, -1)
  return outputs


def batch(outputs_list):
  return {name: np.concatenate([one[name] for one in outputs_list]) for name in outputs_list[0]}


def test_losses_are_mmdets(goldens):
  cases = range(4)
  outputs, truth = [], {'boxes': [], 'labels': [], 'box_mask': [], 'box_ignore': []}
  for case in cases:
    g = {name: goldens[f'assign{case}/{name}'] for name in ('boxes', 'logits', 'truth', 'labels')}
    outputs.append(outputs_of(g['boxes'], g['logits']))
    truth['boxes'].append(padded(g['truth']))
    truth['labels'].append(padded(g['labels']))
    truth['box_mask'].append(np.arange(N) < len(g['truth']))
    truth['box_ignore'].append(np.zeros(N, bool))
  truth = {name: np.stack(values) for name, values in truth.items()}
  example_losses, scalars = compiling.jit(losses_of)(batch(outputs), truth)
  sums = {
    name: np.array([goldens[f'assign{case}/{name}'] for case in cases])
    for name in ('class_loss', 'box_loss')
  }
  total = max(sum(goldens[f'assign{case}/overlap'].sum() for case in cases), 1)
  expected = 4 * (sums['class_loss'] + 2 * sums['box_loss']) / total
  np.testing.assert_allclose(example_losses, expected, rtol=1e-4)
  np.testing.assert_allclose(scalars['class_loss'], sums['class_loss'].sum() / total, rtol=1e-4)
  np.testing.assert_allclose(scalars['box_loss'], 2 * sums['box_loss'].sum() / total, rtol=1e-4)
  # And of single pictures that are told of all, as of processes by mmdet's `reduce_mean`.
  for case in cases:
    one = {name: values[case : case + 1] for name, values in truth.items()}
    told = rtmdet_targets.losses(outputs[case], one, lambda counts: (total, 4))[0]
    np.testing.assert_allclose(told, expected[case : case + 1], rtol=1e-4)


def test_ignored_regions_are_no_background():
  boxes = np.tile(np.float32([[0, 0, 4, 4]]), (126, 1))
  logits = np.full((126, 2), 3, np.float32)  # sure of something everywhere
  outputs = outputs_of(boxes, logits)
  nothing = {
    'boxes': np.zeros((1, N, 4), np.float32),
    'labels': np.zeros((1, N), np.int32),
    'box_mask': np.zeros((1, N), bool),
    'box_ignore': np.zeros((1, N), bool),
  }
  loss = compiling.jit(lambda outputs, truth: losses_of(outputs, truth)[0])
  whole = float(loss(outputs, nothing)[0])
  crowd = {**nothing, 'boxes': padded(np.float32([[-1, -1, 64, 96]]))[None]}
  crowd['box_ignore'] = (np.arange(N) == 0)[None]
  assert whole > 100
  assert float(loss(outputs, crowd)[0]) == 0
  half = {**crowd, 'boxes': padded(np.float32([[-1, -1, 32, 96]]))[None]}
  np.testing.assert_allclose(loss(outputs, half)[0], whole / 2, rtol=1e-5)


def test_gradients_are_finite_whatever_the_boxes():
  rng = np.random.default_rng(0)
  truth = {
    'boxes': padded(np.float32([[3, 5, 30, 40], [10, 10, 10.5, 90]]))[None],
    'labels': np.zeros((1, N), np.int32),
    'box_mask': (np.arange(N) < 2)[None],
    'box_ignore': np.zeros((1, N), bool),
  }
  grad = compiling.jit(jax.grad(lambda outputs: losses_of(outputs, truth)[0].mean()))
  for boxes in (
    rng.normal(0, 30, (126, 4)),  # corners in any order
    np.zeros((126, 4)),
    np.tile([[3, 5, 30, 40]], (126, 1)),  # exactly right
  ):
    outputs = outputs_of(boxes.astype(np.float32), rng.normal(0, 9, (126, 2)).astype(np.float32))
    assert all(np.isfinite(g).all() for g in grad(outputs).values())


def test_decoding_undoes_distances_and_selection_keeps_the_best_of_each_class():
  boxes = np.tile(np.float32([[0, 0, 0, 0]]), (126, 1))
  logits = np.full((126, 2), -20, np.float32)
  # The same place twice, of one class; and once more of another; and one beyond the edge.
  boxes[[3, 50, 70]] = [[10, 20, 30, 60], [11, 20, 31, 60], [10, 20, 30, 60]]
  boxes[90] = [-9, 50, 12, 130]
  logits[3, 0], logits[50, 0], logits[70, 1], logits[90, 0] = 2, 1, 0, -1
  found, scores = rtmdet.decode(outputs_of(boxes, logits))
  np.testing.assert_allclose(found[0], boxes, atol=1e-5)
  np.testing.assert_allclose(scores[0], logits)
  result = compiling.jit(lambda b, s: rtmdet.select(b, s, SIZE, max_detections=5))(found, scores)
  sigmoid = 1 / (1 + np.exp(-np.float32([2, 0, -1])))
  np.testing.assert_allclose(result['scores'][0], [*sigmoid, 0, 0], rtol=1e-6)
  assert result['labels'][0].tolist() == [0, 1, 0, 0, 0]
  np.testing.assert_allclose(
    result['boxes'][0, :3], [[10, 20, 30, 60], [10, 20, 30, 60], [0, 50, 12, 96]], atol=1e-5
  )
  assert not np.asarray(result['boxes'][0, 3:]).any()


def test_what_is_not_finite_is_nothing():
  boxes = jnp.full((1, 126, 4), jnp.nan).at[0, 0].set(jnp.array([1.0, 2, 30, 40]))
  logits = jnp.full((1, 126, 2), 5.0).at[0, 1, 0].set(jnp.nan)
  result = rtmdet.select(boxes, logits, SIZE, max_detections=4)
  assert (np.asarray(result['scores'][0]) > 0).tolist() == [True, True, False, False]
  assert all(np.isfinite(value).all() for value in result.values())
