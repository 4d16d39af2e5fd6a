import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import codecs, losses, skeletons
from posejax.config import Config
from posejax.data import augment, crops
from posejax.data.batches import EvalBatches
from posejax.data.synthetic import people
from posejax.experiment import from_config
from posejax.tasks import pose
from posejax.tasks.pose_metrics import PoseMetrics
from posejax.train.evaluate import compile_eval_step, evaluate
from posejax.train.parallel import make_mesh
from tests import tiny

CROP, HEATMAP = (64, 48), (32, 24)


class Oracle:
  """A net that sees the labels: its heatmaps are the codec's targets, mirrored with the input.

  It finds the example by its picture's mean, so that the flip test's second call works too.
  """

  def __init__(self, codec, batch):
    self.codec = codec
    self.targets, _ = codec.encode(batch['keypoints'], batch['visibility'])
    self.images = batch['images'].astype(np.float32)

  def apply(self, variables, images):
    del variables
    straight = jnp.allclose(images, self.images)
    mirrored = self.codec.flip(self.targets, skeletons.COCO.flip_permutation, False)
    return {'heatmaps': jnp.where(straight, self.targets, mirrored)}


def make(codec_name, flip, shift=None):
  codec = codecs.create(codec_name, crop_size=CROP, heatmap_size=HEATMAP, sigma=2.0)
  prepare = crops.CropPerson(skeletons.COCO, CROP, codec.convention, augment.create('none'))
  source = people.SyntheticPeople('eval')
  batches = EvalBatches(source, prepare, 12)
  batch = batches(0)
  task = pose.create(
    model=Oracle(codec, batch),
    skeleton=skeletons.COCO,
    codec=codec,
    loss_fn=losses.heatmap_mse,
    normalize_fn=lambda images: images.astype(jnp.float32),
    flip=flip,
    shift=shift,
    metrics=PoseMetrics(skeletons.COCO, CROP, np.full((17, 2), 0.5)),
    prepare_train=prepare,
    prepare_eval=prepare,
  )
  return task, batch


def measured(task, batch):
  mesh = make_mesh()
  return evaluate(task, compile_eval_step(task, mesh), {}, [batch], mesh).metrics


@pytest.mark.parametrize('codec_name', ['msra', 'dark', 'udp'])
def test_a_perfect_net_is_measured_as_perfect(codec_name):
  task, batch = make(codec_name, flip=False)
  metrics = measured(task, batch)
  # What is left is the codec's own rounding, in pixels of the original picture.
  assert metrics['PCK@0.20/torso'] > 0.97
  assert metrics['PCK@0.20/torso/median_pose'] < 0.3
  # A cell is 4 to 5 of them here; MSRA's rounding to cells costs 0.38 of a cell on average.
  assert metrics['distance/pixels'] < (1.9 if codec_name == 'msra' else 0.4)


def test_the_flip_test_needs_no_shift_where_corners_align():
  plain = measured(*make('udp', flip=False))
  flipped = measured(*make('udp', flip=True))
  assert flipped['distance/pixels'] == pytest.approx(plain['distance/pixels'], abs=0.02)
  shifted = measured(*make('udp', flip=True, shift=True))
  assert shifted['distance/pixels'] > plain['distance/pixels'] + 0.3


def test_left_and_right_are_not_mixed_up_by_the_flip_test():
  metrics = measured(*make('udp', flip=True))
  for side in ('left', 'right'):
    assert metrics[f'PCK@0.20/torso/{side}_wrist'] > 0.9


def test_bgr_nets_see_bgr():
  images = np.zeros((1, 2, 3, 3), np.uint8)
  images[..., 0] = 255  # red
  mean, std = (0.1, 0.2, 0.3), (0.5, 0.5, 0.25)
  rgb = pose.normalize(jnp.asarray(images), mean, std, 'rgb')[0, 0, 0]
  bgr = pose.normalize(jnp.asarray(images), mean, std, 'bgr')[0, 0, 0]
  np.testing.assert_allclose(rgb, [1.8, -0.4, -1.2], rtol=1e-6)
  np.testing.assert_allclose(bgr, [-0.2, -0.4, 2.8], rtol=1e-6)


def test_panels_show_every_example_and_no_padding():
  experiment = from_config(tiny.config())
  batch = EvalBatches(experiment.eval_source, experiment.task.prepare_eval, 8)(1)
  assert batch['mask'].sum() == 4
  panels = experiment.task.draw(batch, {})['panels']
  variables = experiment.task.init(jax.random.key(0))
  full = experiment.task.draw(
    batch, jax.tree.map(np.asarray, experiment.task.predict(variables, batch))
  )['panels']
  assert full.shape[0] == panels.shape[0]
  assert full.shape[1] > 1.9 * panels.shape[1]


def test_heatmap_size_follows_the_net_and_the_crop():
  config = tiny.config()
  assert isinstance(config, Config)
  from posejax import models

  net = models.create(**{**config.model})
  assert pose.heatmap_size(net, (96, 64)) == (24, 16)
