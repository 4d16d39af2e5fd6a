"""What moves and what is frozen, seen in the net after steps; numbers against a hand-written SGD."""

import re

import jax
import numpy as np
import pytest

from posejax import devices, models
from posejax import experiment as experiments
from posejax.data.batches import TrainBatches
from posejax.errors import PosejaxError
from posejax.train.optim import lr_scales
from posejax.train.step import build as builder
from tests import compiling, tiny
from tests.models import nets


def variables():
  """Return variables of shapes to count by: 2 + 3 + 5 parameters, 4 statistics."""
  return {
    'params': {
      'backbone': {'stem': {'kernel': np.ones((1, 2))}, 'bn1': {'scale': np.ones(3)}},
      'head': {'final': {'kernel': np.ones((5, 1))}},
    },
    'batch_stats': {'backbone': {'bn1': {'mean': np.ones(2), 'var': np.ones(2)}}},
  }


def factors(patterns):
  scales = lr_scales.create(patterns, variables())
  paths = (
    'backbone/stem/kernel',
    'backbone/bn1/scale',
    'backbone/bn1/var',
    'head/final/kernel',
  )
  return [scales.factor(path) for path in paths]


@pytest.mark.parametrize(
  ('patterns', 'expected'),
  [
    ({}, [1, 1, 1, 1]),
    ({'backbone': 0.1}, [0.1, 0.1, 0.1, 1]),
    ({'backbone/stem': 0, 'backbone': 0.1}, [0, 0.1, 0.1, 1]),
    ({'backbone': 0.1, 'backbone/stem': 0}, [0, 0.1, 0.1, 1]),
    ({'*/bn?': 0}, [1, 0, 0, 1]),
    ({'*/var': 0, 'head': 2.5}, [1, 1, 0, 2.5]),
    ({'backbone': 0, 'backbone/*/var': 1}, [0, 0, 1, 1]),
    ({'*': 0.5, '*/[bs]n1': 0.25}, [0.5, 0.25, 0.25, 0.5]),
  ],
)
def test_the_narrower_pattern_counts_in_any_order(patterns, expected):
  assert factors(patterns) == expected


@pytest.mark.parametrize(
  ('patterns', 'message'),
  [
    ({'stem': 0.1}, r"\['stem'\] matches no variable of the net.*'backbone/stem'"),
    ({'bakbone': 0.1}, "nearest path is 'backbone'"),
    ({'backbone/ste': 0.1}, "nearest path is 'backbone/stem'"),
    ({'head/final/bias': 0}, "nearest path is 'head/final"),
    ({'head': -1}, r"\['head'\]=-1 must be a number, 0 or more"),
    ({'head': float('nan')}, 'must be a number'),
    ({'head': 'slow'}, "='slow' must be a number"),
    ({'head': True}, 'must be a number'),
    ({'*': 0}, 'freezes every parameter'),
    (
      {'*/kernel': 0, 'backbone': 1},
      r"'\*/kernel' and 'backbone' both match 'backbone/stem/kernel'",
    ),
    ({'head': 0, 'head/final': 1}, 'neither matches a part of the other'),
  ],
)
def test_what_is_wrong_is_named(patterns, message):
  with pytest.raises(PosejaxError, match=message):
    lr_scales.create(patterns, variables())


def test_tells_how_many_parameters_move_at_which_factor():
  text = lr_scales.create({'backbone': 0.1, '*/bn1': 0}, variables()).describe(variables())
  assert text.splitlines() == [
    '  */bn1            x 0: 3 parameters, frozen, as are 2 arrays of batch statistics',
    '  backbone         x 0.1: 2 parameters',
    '  everything else  x 1: 5 parameters',
  ]


def build(patterns, **changes):
  """Return (state, its copy on the host, compiled step, step number -> batch) of the tiny net."""
  config = tiny.config(
    **changes,
    optimizer__schedule='constant',
    optimizer__schedule_steps=9,
    data__augment={},
    optimizer__lr_scales=patterns,
  )
  experiment = experiments.from_config(config)
  task, mesh = experiment.task, devices.make_mesh()
  variables = devices.compile_init(task.init, mesh)(jax.random.key(0))
  training = builder.training(task, config, mesh, variables)
  start = devices.put_replicated(training.init_state(variables), mesh)
  batches = TrainBatches(experiment.train_source, task.transform_train, 0, config.batch_size)

  def train_step(state, batch):
    return training.step(state, batch, jax.random.key(1))

  return start, on_host(start), train_step, lambda i: devices.put_batch(batches(i), mesh)


def on_host(tree):
  return jax.tree.map(np.array, tree)


SGD = {
  'optimizer__name': 'sgd',
  'optimizer__momentum': 0.0,
  'optimizer__learning_rate': 0.1,
}


def flat(tree):
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {'/'.join(key.key for key in path): np.asarray(leaf) for path, leaf in leaves}


def test_a_factor_multiplies_the_step_of_what_it_names():
  moves = []
  for patterns in ({}, {'backbone': 0.25, 'head/final': 3.0}):
    start, before, train_step, batch = build(patterns, **SGD)
    after, _ = train_step(start, batch(0))
    before, after = flat(before.params), flat(after.params)
    moves.append({path: after[path] - before[path] for path in before})
  plain, scaled = moves
  for path, move in plain.items():
    factor = 0.25 if path.startswith('backbone/') else 3.0 if 'final' in path else 1.0
    # Differences of parameters of size 1 keep about 1e-7 of their own.
    np.testing.assert_allclose(scaled[path], factor * move, rtol=1e-4, atol=5e-7, err_msg=path)


@pytest.mark.parametrize('semantics', ['jit', 'pmap'])
def test_what_is_frozen_keeps_its_bits_and_the_rest_moves(semantics):
  current, before, train_step, batch = build(
    {'backbone': 0},
    parallel=semantics,
    optimizer__name='adamw',
    optimizer__weight_decay=0.5,
    optimizer__ema_decay=0.9,
  )
  for number in range(2):
    current, _ = train_step(current, batch(number))
  after = on_host(current)
  for name in ('params', 'ema_params', 'model_state'):
    old, new = flat(getattr(before, name)), flat(getattr(after, name))
    assert old.keys() == new.keys()
    for path in old:
      same = np.array_equal(old[path], new[path])
      assert same == ('backbone/' in path), f'{name}/{path}'
  moments = [
    jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(after.opt_state)
  ]
  assert any("'head'" in name for name in moments)
  assert not any("'backbone'" in name for name in moments)


def test_the_clipped_norm_is_that_of_what_moves():
  clipped = {**SGD, 'optimizer__learning_rate': 1.0, 'optimizer__clip_norm': 1e-3}
  start, before, train_step, batch = build({'backbone': 0}, **clipped)
  after, output = train_step(start, batch(0))
  moved = jax.tree.map(lambda a, b: np.asarray(a) - b, after.params, before.params)
  norm = np.sqrt(sum(np.square(m.astype(np.float64)).sum() for m in jax.tree.leaves(moved)))
  assert float(output.scalars['grad_norm']) > 1e-3
  assert norm == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(('patterns', 'alone'), [({'*/mean': 0, '*/var': 0}, True), ({}, False)])
def test_a_frozen_norm_sees_no_other_example_of_the_batch(patterns, alone):
  losses = []
  for darkened in (False, True):
    start, _, train_step, batch = build(patterns)
    batch = dict(batch(0))
    if darkened:
      batch['images'] = batch['images'].at[4:].set(0)
    after, output = train_step(start, batch)
    losses.append(np.asarray(output.example_losses)[:4])
    statistics = flat(after.model_state)
    assert all((s == (0 if 'mean' in path else 1)).all() == alone for path, s in statistics.items())
  assert np.allclose(*losses, rtol=1e-5) == alone


# The names of a family -> one of them that tests/models/nets.py has small.
FAMILIES = {
  r'pose_resnet(18|34|50|101|152)': 'pose_resnet18',
  r'pose_resnet\d+_v2': 'pose_resnet18_v2',
  r'pose_densenet\d+': 'pose_densenet121',
  'pose_densenet_compact': 'pose_densenet_compact',
  r'pose_hrnet_w\d+': 'pose_hrnet_w32',
  'fcn8s': 'fcn8s',
  'regression_cnn': 'regression_cnn',
  r'regression_resnet\d+': 'regression_resnet18',
  r'posejax_movenet_\w+': 'posejax_movenet_lightning',
  'nanodet_g': 'nanodet_g',
  r'faster_rcnn_\w+|keypoint_rcnn_\w+': 'keypoint_rcnn_light',
  r'rtmdet_\w+': 'rtmdet_nano',
  'svhn_cnn': 'svhn_cnn',
  'net': 'net',
}


def test_every_net_is_of_one_of_the_families_below():
  for name in models.NAMES:
    assert sum(bool(re.fullmatch(family, name)) for family in FAMILIES) == 1, name


def frozen(name):
  """Return a net, the shapes of its variables, scales that freeze all its statistics, and pictures."""
  model, images = models.create(name, **nets.NETS[name][0]), nets.images(name)
  shapes = nets.shapes(model, images)
  return model, shapes, lr_scales.create({'*/mean': 0, '*/var': 0}, shapes), images


# NanoDet-g has no norms.
@pytest.mark.parametrize('name', [name for name in FAMILIES.values() if name != 'nanodet_g'])
def test_a_net_of_frozen_norms_computes_in_training_what_it_does_in_evaluation(name):
  model, shapes, scales, images = frozen(name)

  def program(train, norms):
    def features(variables, images):
      with norms.frozen_norms():
        return model.apply(variables, images, train=train, mutable=['batch_stats'])[0]

    return compiling.jit(features).lower(shapes, images).as_text()

  # Not in the assertion itself, where pytest would look for the difference for minutes.
  same = program(True, scales) == program(False, lr_scales.UNSCALED)
  assert same


@pytest.mark.parametrize('name', ['pose_densenet_compact', 'regression_cnn', 'svhn_cnn'])
def test_a_net_of_frozen_norms_trains_with_the_features_that_it_is_evaluated_with(name):
  model, shapes, scales, images = frozen(name)
  variables = nets.draw(shapes)

  @compiling.jit
  def both(variables, images):
    with scales.frozen_norms():
      training, state = model.apply(variables, images, train=True, mutable=['batch_stats'])
    return training, state, model.apply(variables, images)

  training, state, evaluation = both(variables, images)
  for key, expected in evaluation.items():
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(training[key], expected, rtol=1e-5, atol=1e-6)
  jax.tree.map(np.testing.assert_array_equal, state['batch_stats'], variables['batch_stats'])
