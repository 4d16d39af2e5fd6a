import jax
import numpy as np
import pytest

from posejax import experiment, labels, skeletons
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.experiment.pose_outputs import codec_and_loss
from posejax.options import from_options
from posejax.tasks.pose.options import PoseOptions
from tests import compiling

REGRESSION = {'name': 'regression_cnn', 'features': (4, 6), 'hidden': 8}


def config(model, **sections):
  return Config.from_dict(
    {'task': {'name': 'pose', 'crop_size': (32, 64)}, 'model': model, **sections}
  )


def built(model, **sections):
  from posejax import models

  settings = config(model, **sections)
  options = from_options('task', settings.task, PoseOptions)
  return codec_and_loss(settings, options, models.create(**settings.model), 17)


def test_heatmaps_take_their_size_from_the_net():
  codec, _ = built({'name': 'pose_densenet_compact', 'block_layers': (1, 1), 'growth': 4})
  assert codec.heatmap_size == (8, 16)


def test_a_codec_for_another_output_is_refused_with_those_that_fit():
  with pytest.raises(
    PosejaxError, match=r"'msra' is about heatmaps.*coordinates.*one of regression"
  ):
    built(REGRESSION)
  with pytest.raises(PosejaxError, match=r"'regression' is about.*fcn8s outputs logits.*discs"):
    built({'name': 'fcn8s', 'width': 0.05}, codec={'name': 'regression'})


def test_losses_belong_to_an_output():
  sections = {'codec': {'name': 'regression'}}
  with pytest.raises(PosejaxError, match=r"config.loss.name='ohkm' is not known"):
    built(REGRESSION, loss={'name': 'ohkm'}, **sections)
  with pytest.raises(PosejaxError, match=r"config.loss.betta.*'beta'"):
    built(REGRESSION, loss={'name': 'smooth_l1', 'betta': 0.1}, **sections)
  with pytest.raises(PosejaxError, match=r'config.model.sigmas=True'):
    built(REGRESSION, loss={'name': 'rle'}, **sections)


def test_the_first_loss_of_an_output_is_its_default():
  codec, loss = built(REGRESSION, codec={'name': 'regression'})
  _, squared = built(REGRESSION, codec={'name': 'regression'}, loss={'name': 'mse'})
  assert codec.outputs == ('coordinates',)
  assert loss.fn.func is squared.fn.func
  assert loss.init is None


def test_what_a_loss_learns_is_trained_and_not_needed_to_predict():
  settings = config(
    {**REGRESSION, 'sigmas': True}, codec={'name': 'regression'}, loss={'name': 'rle'}
  )
  _, task = experiment.build(settings, labels.people(skeletons.COCO))
  shapes = jax.eval_shape(task.init, jax.random.key(0))
  rng = np.random.default_rng(0)
  variables = {
    'params': jax.tree.map(
      lambda p: rng.normal(0, 0.1, p.shape).astype(np.float32), shapes['params']
    ),
    'batch_stats': jax.tree.map(lambda p: np.ones(p.shape, np.float32), shapes['batch_stats']),
  }
  batch = {
    'images': rng.integers(0, 256, (2, 32, 64, 3), dtype=np.uint8),
    'keypoints': rng.uniform((0, 0), (63, 31), (2, 17, 2)).astype(np.float32),
    'visibility': np.full((2, 17), 2),
  }

  def loss(params):
    return task.loss({**variables, 'params': params}, batch, jax.random.key(1), None)[0]

  gradients = compiling.jit(jax.grad(loss))(variables['params'])
  assert all(np.any(g) for g in jax.tree.leaves(gradients['loss']))
  net = {k: v for k, v in variables['params'].items() if k != 'loss'}
  infer, images = compiling.jit(task.infer), batch['images']
  with_flow, without = infer(variables, images), infer({**variables, 'params': net}, images)
  jax.tree.map(np.testing.assert_array_equal, with_flow, without)
  assert 0 < np.asarray(with_flow['scores']).min() <= np.asarray(with_flow['scores']).max() < 1
