import cv2
import numpy as np
import pytest

from posejax import skeletons
from posejax.data.batches import EvalBatches, TrainBatches, epoch_order
from posejax.data.executors import processes, tfdata, threads
from posejax.data.sources.people import People
from posejax.data.synthetic.people import SyntheticPeople
from posejax.data.transforms import augment
from posejax.data.transforms.crops import CropPerson
from posejax.errors import PosejaxError
from posejax.geometry import affine


class Numbers:
  """A source of `n` examples whose only content is their number."""

  def __init__(self, n):
    self.n = n

  def __len__(self):
    return self.n

  def __getitem__(self, i):
    return {'number': i}


def number_and_noise(example, rng):
  return {'number': np.int64(example['number']), 'noise': rng.random(3)}


def assert_same(a, b):
  assert a.keys() == b.keys()
  for key in a:
    assert a[key].dtype == b[key].dtype, key
    np.testing.assert_array_equal(a[key], b[key], err_msg=key)


@pytest.mark.parametrize('process_count', [2, 4])
def test_order_and_augmentation_do_not_depend_on_the_number_of_processes(process_count):
  source = Numbers(10)
  whole = TrainBatches(source, number_and_noise, seed=3, batch_size=8)
  for step in (0, 1, 7):
    parts = [
      TrainBatches(source, number_and_noise, 3, 8, i, process_count)(step)
      for i in range(process_count)
    ]
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    assert_same(joined, whole(step))


def test_every_epoch_holds_every_example_once_in_another_order():
  batches = TrainBatches(Numbers(10), number_and_noise, seed=0, batch_size=4)
  seen = np.concatenate([batches(step)['number'] for step in range(5)])
  assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
  assert list(seen[:10]) != list(seen[10:])


def test_an_example_is_augmented_anew_each_epoch_and_per_seed():
  first, second = (
    TrainBatches(Numbers(2), number_and_noise, seed=0, batch_size=2)(step) for step in (0, 1)
  )
  other_seed = TrainBatches(Numbers(2), number_and_noise, seed=1, batch_size=2)(0)
  noises = [
    {int(n): tuple(v) for n, v in zip(b['number'], b['noise'], strict=True)}
    for b in (first, second, other_seed)
  ]
  assert len({noise[0] for noise in noises}) == 3
  assert noises[0][0] != noises[0][1]


def test_a_far_step_needs_no_earlier_one():
  batches = TrainBatches(Numbers(1000), number_and_noise, seed=0, batch_size=32)
  far = batches(1_000_000)
  epoch, offset = divmod(32_000_000, 1000)
  np.testing.assert_array_equal(far['number'], epoch_order(0, epoch, 1000)[offset : offset + 32])


@pytest.mark.parametrize(('n', 'batch_size', 'processes'), [(10, 4, 1), (10, 4, 2), (9, 8, 4)])
def test_evaluation_takes_every_example_once_and_masks_the_rest(n, batch_size, processes):
  seen = []
  for process in range(processes):
    batches = EvalBatches(Numbers(n), number_and_noise, batch_size, process, processes)
    for number in range(len(batches)):
      batch = batches(number)
      assert len(batch['number']) == batch_size // processes
      np.testing.assert_array_equal(batch['mask'], batch['index'] >= 0)
      seen += batch['number'][batch['mask'] > 0].tolist()
      assert not batch['noise'][batch['mask'] == 0].any()
  assert sorted(seen) == list(range(n))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda arrays: {**arrays, 'noise': np.zeros(1)}, r"'noise' is float64 \(1,\).*float64 \(3,\)"),
    (lambda arrays: {**arrays, 'noise': np.zeros(3, np.int8)}, "'noise' is int8"),
    (lambda arrays: {'number': arrays['number']}, r"has \['number'\].*'noise'"),
  ],
)
def test_examples_that_make_no_batch_are_refused(change, message):
  # A row assigned to an array would be stretched or cast without a word.
  def transform(example, rng):
    arrays = number_and_noise(example, rng)
    return change(arrays) if example['number'] == 5 else arrays

  with pytest.raises(ValueError, match=message):
    EvalBatches(Numbers(6), transform, 6)(0)


every_executor = pytest.mark.parametrize(
  'iterate',
  [threads.iterate, tfdata.iterate, processes.Workers().iterate],
  ids=['threads', 'tfdata', 'processes'],
)


@pytest.fixture(scope='module')
def person_batches():
  crop = CropPerson(skeletons.COCO, (64, 48), 'msra', augment.create('hrnet', color=0.5))
  return TrainBatches(People(SyntheticPeople('train')), crop, seed=5, batch_size=4)


@every_executor
def test_every_executor_gives_the_bytes_of_the_function(person_batches, iterate):
  batches = list(iterate(person_batches, 3, 8, num_workers=2, prefetch=2))
  assert len(batches) == 5
  for step, batch in enumerate(batches, 3):
    assert_same(batch, person_batches(step))


def broken_at_three(step):
  if step == 3:
    raise PosejaxError('example 3 is broken')
  return {'step': np.full((3, 2), step)}


@every_executor
def test_an_error_arrives_as_it_was_raised(iterate):
  got = []
  with pytest.raises(PosejaxError) as caught:
    for batch in iterate(broken_at_three, 0, 6, num_workers=2, prefetch=1):
      got.append(int(batch['step'][0, 0]))
  assert got == [0, 1, 2]
  assert str(caught.value) == 'example 3 is broken'


@every_executor
@pytest.mark.parametrize(('start', 'stop'), [(4, 4), (1, 2)])
def test_nothing_or_one_to_do(iterate, start, stop):
  batches = list(iterate(broken_at_three, start, stop, num_workers=2, prefetch=1))
  assert [int(batch['step'][0, 0]) for batch in batches] == list(range(start, stop))


def test_a_batch_holds_the_crops_of_its_examples():
  # Made in another order than one by one: labels first, then pictures straight into the batch.
  source = People(SyntheticPeople('eval', num_examples=6))
  crop = CropPerson(
    skeletons.COCO, (64, 48), 'udp', augment.create('hrnet', color=0.7, hue=0.1, occlusion=0.7)
  )
  train = TrainBatches(source, crop, seed=3, batch_size=6)(1)
  padded = EvalBatches(source, crop, batch_size=4)(1)
  for batch, seeds in (
    (train, [(1, 3, 1, int(i)) for i in train['index']]),
    (padded, [0, 0]),
  ):
    for row, seed in enumerate(seeds):
      single = crop(source[int(batch['index'][row])], np.random.default_rng(seed))
      assert batch.keys() == single.keys() | {'index', 'mask'}
      for key, value in single.items():
        np.testing.assert_array_equal(batch[key][row], value, err_msg=key)
  assert len({image.tobytes() for image in train['images']}) == 6
  assert not any(padded[key][2:].any() for key in padded if key != 'index')


def test_a_crop_shows_the_picture_warped_by_its_matrix():
  picture = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
  picture = cv2.GaussianBlur(picture, (0, 0), 2)
  ok, jpeg = cv2.imencode('.jpg', picture)
  assert ok
  example = {
    'image': jpeg.tobytes(),
    'keypoints': np.full((17, 2), 50.0),
    'visibility': np.full(17, 2),
    'box': np.array([20, 5, 118, 80]),
  }
  crop = CropPerson(
    skeletons.COCO, (64, 48), 'msra', augment.Augmentation(flip=0.5, rotation=60, scale=0.3)
  )
  for seed in range(6):
    arrays = crop(example, np.random.default_rng(seed))
    expected = cv2.warpAffine(
      cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1],
      arrays['crop_to_image'],
      (48, 64),
      flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    assert np.abs(arrays['images'].astype(int) - expected).max() <= 2


def test_a_crop_leads_back_to_the_picture_also_mirrored():
  source = People(SyntheticPeople('eval'))
  mirrored = 0
  crop = CropPerson(
    skeletons.COCO, (96, 64), 'udp', augment.Augmentation(flip=0.5, rotation=30, scale=0.2)
  )
  for i in range(12):
    example = source[i]
    arrays = crop(example, np.random.default_rng(i))
    assert arrays['images'].shape == (96, 64, 3)
    back = affine.transform_points(arrays['keypoints'], arrays['crop_to_image'])
    np.testing.assert_allclose(back, arrays['keypoints_image'], atol=1e-3)
    flipped = np.linalg.det(arrays['crop_to_image'][:, :2]) < 0
    mirrored += flipped
    order = skeletons.COCO.flip_permutation if flipped else slice(None)
    np.testing.assert_array_equal(arrays['keypoints_image'], example['keypoints'][order])
    np.testing.assert_array_equal(arrays['visibility'], example['visibility'][order])
  assert 0 < mirrored < 12


def test_labels_without_the_picture_are_the_same():
  source = People(SyntheticPeople('eval'))
  crop = CropPerson(skeletons.COCO, (64, 48), 'msra', augment.create('hrnet'))
  whole = crop(source[2], np.random.default_rng(2))
  _, labels = crop.labels(source.labels(2), np.random.default_rng(2))
  for key, value in labels.items():
    np.testing.assert_array_equal(value, whole[key])
