"""What two-stage detectors learn from, and their losses beside loops over single boxes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models.rcnn import lessons
from posejax.models.rcnn.lessons import Lesson
from tests import compiling

B, S, C, K, SIDE = 2, 6, 3, 4, 8
losses_of = jax.jit(functools.partial(lessons.losses, total=lambda counts: counts))


def some_truth():
  rng = np.random.default_rng(0)
  boxes = np.array([[[4, 6, 40, 30], [50, 10, 90, 58], [0, 0, 0, 0]]] * B, np.float32)
  return {
    'boxes': boxes,
    'labels': np.array([[1, 0, 0], [0, 1, 0]], np.int32),
    'box_mask': np.array([[True, True, False], [False, True, False]]),
    'box_ignore': np.zeros((B, 3), bool),
    'image_size': np.array([[64, 96]] * B),
    'keypoints': rng.uniform(15, 45, (B, 3, K, 2)).astype(np.float32),
    'visibility': rng.integers(0, 3, (B, 3, K)).astype(np.int32),
  }


def some_lesson(seed, outcomes=None, heatmaps=False):
  rng = np.random.default_rng(seed)
  corner = rng.uniform(0, 30, (B, S, 2))
  shape = (B, S) if outcomes is None else (B, S, outcomes)
  return Lesson(
    references=np.concatenate([corner, corner + rng.uniform(20, 50, (B, S, 2))], -1).astype('f4'),
    valid=np.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]], bool),
    matched=np.array([[0, 1, 0, -1, -1, -1], [1, -1, -1, -1, 0, -2]], np.int32),
    logits=rng.normal(size=shape).astype('f4'),
    deltas=rng.normal(size=(*shape, 4)).astype('f4'),
    heatmaps=rng.normal(size=(B, 3, SIDE, SIDE, K)).astype('f4') if heatmaps else None,
  )


def smooth_l1(x):
  return sum(d * d * 4.5 if abs(d) < 1 / 9 else abs(d) - 1 / 18 for d in x)


def delta_targets(box, reference, weights):
  (x1, y1, x2, y2), (u1, v1, u2, v2) = box.astype(float), reference.astype(float)
  w, h, p, q = x2 - x1, y2 - y1, u2 - u1, v2 - v1
  shift = ((x1 + x2 - u1 - u2) / 2 / p, (y1 + y2 - v1 - v2) / 2 / q)
  return np.array([*shift, np.log(w / p), np.log(h / q)]) * weights


def losses_by_loops(anchors, regions, truth):
  """Return what torchvision calls the losses, means over the batch."""
  sums = dict.fromkeys(('objectness', 'anchor_boxes', 'classes', 'boxes', 'keypoints'), 0.0)
  num_keypoints = 0
  for b in range(B):
    for s in range(S):
      if anchors.valid[b, s]:
        n, logit = anchors.matched[b, s], float(anchors.logits[b, s])
        sums['objectness'] += np.log1p(np.exp(-logit if n >= 0 else logit))
        if n >= 0:
          target = delta_targets(truth['boxes'][b, n], anchors.references[b, s], np.ones(4))
          sums['anchor_boxes'] += smooth_l1(anchors.deltas[b, s] - target)
      if not regions.valid[b, s]:
        continue
      n, logits = regions.matched[b, s], regions.logits[b, s].astype(float)
      outcome = truth['labels'][b, n] + 1 if n >= 0 else 0
      sums['classes'] -= logits[outcome] - np.log(np.exp(logits).sum())
      if n < 0:
        continue
      target = delta_targets(
        truth['boxes'][b, n], regions.references[b, s], np.array([10, 10, 5, 5])
      )
      sums['boxes'] += smooth_l1(regions.deltas[b, s, outcome] - target)
      if s >= regions.heatmaps.shape[1]:
        continue
      x1, y1, x2, y2 = regions.references[b, s].astype(float)
      for k in range(K):
        x, y = truth['keypoints'][b, n, k] + 0.5
        i, j = int((x - x1) * SIDE // (x2 - x1)), int((y - y1) * SIDE // (y2 - y1))
        if truth['visibility'][b, n, k] and 0 <= i < SIDE and 0 <= j < SIDE:
          heatmap = regions.heatmaps[b, s, :, :, k].astype(float)
          sums['keypoints'] -= heatmap[j, i] - np.log(np.exp(heatmap).sum())
          num_keypoints += 1
  assert num_keypoints > 3
  counts = {'objectness': anchors.valid.sum(), 'anchor_boxes': anchors.valid.sum()}
  counts |= {'classes': regions.valid.sum(), 'boxes': regions.valid.sum()}
  counts['keypoints'] = num_keypoints
  return {name: sums[name] / counts[name] for name in sums}


def test_losses_are_those_of_single_boxes():
  anchors, regions = some_lesson(1), some_lesson(2, C, heatmaps=True)
  truth = some_truth()
  found = losses_of(anchors, regions, truth)
  expected = losses_by_loops(anchors, regions, truth)
  assert set(found) == set(expected)
  for name, value in found.items():
    assert value.shape == (B,)
    assert float(value.mean()) == pytest.approx(expected[name], rel=1e-4), name


def test_pictures_told_of_the_whole_batch_have_the_same_losses_by_themselves():
  anchors, regions = some_lesson(1), some_lesson(2, C, heatmaps=True)
  truth, counts = some_truth(), []
  whole = losses_of(anchors, regions, truth)
  of_picture = lambda b: jax.tree.map(lambda a: a[b : b + 1], (anchors, regions, truth))  # noqa: E731
  for b in range(B):
    lessons.losses(*of_picture(b), lambda asked: counts.append(asked) or asked)
  # One has twice as many anchors, and other numbers of keypoints.
  assert len({str(one) for one in counts}) == B
  together = jax.tree.map(lambda *values: sum(values), *counts)
  for b in range(B):
    alone = lessons.losses(*of_picture(b), lambda asked: together)
    for name, value in whole.items():
      np.testing.assert_allclose(alone[name], value[b : b + 1], rtol=1e-5, err_msg=name)


def test_nets_without_heatmaps_have_no_loss_of_keypoints():
  found = losses_of(some_lesson(1), some_lesson(2, C), some_truth())
  assert 'keypoints' not in found


def test_a_batch_without_anything_on_it_is_all_background():
  truth = {name: np.zeros_like(value) for name, value in some_truth().items()}
  truth['image_size'] += 64
  empty = {'matched': np.full((B, S), -1, np.int32)}
  anchors = some_lesson(1)._replace(**empty)
  regions = some_lesson(2, C, heatmaps=True)._replace(**empty)
  # What was proposed may be nothing, too.
  regions = regions._replace(references=0 * regions.references)

  def total(floats):
    a = anchors._replace(logits=floats[0], deltas=floats[1])
    r = regions._replace(logits=floats[2], deltas=floats[3], heatmaps=floats[4])
    found = losses_of(a, r, truth)
    return sum(x.mean() for x in found.values()), found

  floats = [anchors.logits, anchors.deltas, regions.logits, regions.deltas, regions.heatmaps]
  gradients, found = compiling.jit(jax.grad(total, has_aux=True))(floats)
  for name in ('anchor_boxes', 'boxes', 'keypoints'):
    assert not found[name].any(), name
  assert (found['objectness'] > 0).all()
  assert (found['classes'] > 0).all()
  assert all(np.isfinite(g).all() for g in gradients)


def test_objects_own_boxes_are_learnt_from_and_padding_is_not():
  truth = some_truth()
  far = np.array([[60, 30, 75, 45], [1, 40, 9, 60], [0, 0, 0, 0]], np.float32)
  regions = np.stack([far, far])
  valid = np.array([[True, True, False]] * B)
  drawn = compiling.jit(lessons.choose_regions, static_argnums=4)(
    jax.random.key(0), regions, valid, truth, 4
  )
  few = lessons.most_positive(4)
  assert few == 1
  for b in range(B):
    matched, there = drawn.matched[b], drawn.valid[b]
    assert list(there) == [True, True, True, False]
    assert matched[0] >= 0
    assert truth['box_mask'][b, matched[0]]
    np.testing.assert_array_equal(drawn.references[b, 0], truth['boxes'][b, matched[0]])
    assert (matched[1:3] < 0).all()
    assert sorted(map(tuple, drawn.references[b, 1:3].tolist())) == sorted(
      map(tuple, far[:2].tolist())
    )


def test_anchors_of_all_levels_are_drawn_with_what_the_net_says_of_them():
  anchors = {4: jnp.array([[4.0, 6, 40, 30], [0, 0, 8, 8]]), 8: jnp.array([[50.0, 10, 90, 58]])}
  logits = {4: jnp.array([[1.0, 2], [3, 4]]), 8: jnp.array([[5.0], [6]])}
  deltas = {s: x[..., None] * jnp.ones(4) for s, x in logits.items()}
  of_anchors = compiling.jit(lessons.of_anchors, static_argnums=5)
  lesson = of_anchors(jax.random.key(0), logits, deltas, anchors, some_truth(), 2)
  assert lesson.matched[0, 0] in (0, 1)
  assert int(lesson.matched[0, 1]) == -1
  assert lesson.logits[0, 1] == 2
  # The first object is not to be found on the second picture.
  assert lesson.matched[1, 0] == 1
  assert lesson.logits[1, 0] == 6
  np.testing.assert_array_equal(lesson.deltas, lesson.logits[..., None] * np.ones(4))
