import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax import skeletons
from posejax.data.formats import coco_read, own_skeleton, pictures
from posejax.errors import PosejaxError
from tests.data import layouts

CORNERS = ['top_left', 'top_right', 'bottom_right', 'bottom_left']


def person(points, area):
  points = np.asarray(points, np.float32)
  return coco_read.Person(
    points[:, :2], points[:, 2].astype(np.int32), np.zeros(4, np.float32), 1, area
  )


def resolve(names, given=None, people=(), **category):
  return own_skeleton.resolve({'keypoints': names, **category}, given, people, 'a.json')


def test_known_keypoints_are_a_known_skeleton():
  for skeleton in skeletons.SKELETONS.values():
    assert resolve(list(skeleton.keypoints)) is skeleton


def test_a_named_skeleton_must_fit():
  assert resolve(list(skeletons.LSP.keypoints), skeletons.LSP) is skeletons.LSP
  with pytest.raises(
    PosejaxError, match=r"a\.json has the keypoints \['nose'\]; skeleton 'lsp' has"
  ):
    resolve(['nose'], skeletons.LSP)


def test_own_keypoints_with_everything_said():
  given = {
    'name': 'sign',
    'flip_pairs': [['top_left', 'top_right'], ['bottom_left', 'bottom_right']],
    'sigmas': [0.1, 0.2, 0.3, 0.4],
    'upper_body': ['top_left', 'top_right'],
    'torso': [['top_left', 'bottom_right']],
  }
  skeleton = resolve(CORNERS, given, skeleton=[[1, 2], [3, 4]])
  np.testing.assert_array_equal(skeleton.flip_permutation, [1, 0, 3, 2])
  assert skeleton.sigmas == (0.1, 0.2, 0.3, 0.4)
  assert skeleton.limbs == (('top_left', 'top_right'), ('bottom_right', 'bottom_left'))
  assert (skeleton.name, skeleton.torso_indices) == ('sign', ((0, 2),))


@pytest.mark.parametrize(
  ('names', 'permutation'),
  [
    (CORNERS, [1, 0, 3, 2]),
    (['nose', 'left_eye', 'right_eye'], [0, 2, 1]),
    (['LEye', 'REye', 'Tail'], [1, 0, 2]),
    (['eyeLeft', 'tail', 'eyeRight'], [2, 1, 0]),
    (['l-ear', 'R ear', 'r-ear', 'L ear'], [2, 3, 0, 1]),
  ],
)
def test_flip_pairs_are_inferred_from_sides(names, permutation, caplog):
  skeleton = resolve(names, {'sigmas': [0.1] * len(names)})
  np.testing.assert_array_equal(skeleton.flip_permutation, permutation)
  assert 'a.json: flip pairs were inferred from the names' in caplog.text


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (['nose', 'left_eye'], r"'left_eye' names a side, and 'right_eye' does not exist"),
    (['corner1', 'corner2'], r"no keypoint of \['corner1', 'corner2'\] names a side"),
    (
      ['left_l', 'right_l', 'left_r'],
      r"'left_l' names a side, and 'left_r' or 'right_l' both exist",
    ),
  ],
)
def test_flip_pairs_that_cannot_be_told_are_asked_for(names, message):
  with pytest.raises(
    PosejaxError, match=message + r'(.|\n)*"flip_pairs"(.|\n)*config.data.skeleton'
  ):
    resolve(names, {'sigmas': [0.1] * len(names)})


def test_no_flip_pairs_is_an_answer():
  skeleton = resolve(['corner1', 'corner2'], {'sigmas': [0.1, 0.1], 'flip_pairs': []})
  np.testing.assert_array_equal(skeleton.flip_permutation, [0, 1])


@settings(max_examples=80, deadline=None)
@given(st.permutations(range(4)))
def test_flip_indices_must_be_an_involution(indices):
  given_ = {'sigmas': [0.1] * 4, 'flip_indices': indices}
  if np.array_equal(np.array(indices)[indices], np.arange(4)):
    np.testing.assert_array_equal(resolve(CORNERS, given_).flip_permutation, indices)
  else:
    with pytest.raises(PosejaxError, match='is not an involution: .* Mirroring twice'):
      resolve(CORNERS, given_)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'flip_indices': [1, 0, 3]}, r'must hold each of 0 … 3 once'),
    ({'flip_indices': [1, 1, 3, 2]}, r'must hold each of 0 … 3 once'),
    ({'flip_indices': [1, 0, 3, 2], 'flip_pairs': []}, 'write one of them'),
    (
      {'flip_pairs': [['top_left', 'top_right'], ['top_left', 'bottom_left']]},
      'more than one flip',
    ),
    ({'flip_pairs': [['top_left', 'top_rigth']]}, "Did you mean 'top_right'"),
    ({'sigmas': [0.1] * 3}, '4 keypoints and 3 sigmas'),
    ({'sigmas': [0.1, 0.1, 0.1, 0]}, 'sigmas must be positive'),
    ({'sigmas': 'measure'}, r"sigmas='measure' must be a list of numbers, or \"estimate\""),
    ({'limbs': [['top_left', 'middle']]}, "unknown keypoint 'middle'"),
  ],
)
def test_inconsistent_skeletons_are_refused(given, message):
  with pytest.raises(PosejaxError, match=message):
    resolve(CORNERS, {'sigmas': [0.1] * 4, **given})


@pytest.mark.parametrize('limb', [[0, 1], [1, 5], [1], ['a', 'b']])
def test_limbs_count_from_one(limb):
  with pytest.raises(PosejaxError, match='pairs of keypoint numbers from 1 to 4'):
    resolve(CORNERS, {'sigmas': [0.1] * 4}, skeleton=[limb])


class TestSigmas:
  def test_missing_ones_are_asked_for(self):
    message = r"nobody says the sigmas of its keypoints \('top_left' .*\"sigmas\": \"estimate\""
    with pytest.raises(PosejaxError, match=message):
      resolve(CORNERS)

  def test_known_names_have_known_sigmas(self, caplog):
    skeleton = resolve(['left_wrist', 'right_wrist', 'head_top'])
    assert skeleton.sigmas == (0.062, 0.062, 0.026)
    assert 'sigmas were taken from known keypoints' in caplog.text

  def test_known_names_have_a_known_torso(self):
    names = [f'{s}_{p}' for p in ('shoulder', 'hip') for s in ('left', 'right')]
    skeleton = resolve(names)
    assert skeleton.torso == skeletons.COCO.torso
    assert set(skeleton.upper_body) == {'left_shoulder', 'right_shoulder'}

  def test_the_annotations_may_say_them(self):
    assert resolve(CORNERS, sigmas=[0.4, 0.3, 0.2, 0.1]).sigmas == (0.4, 0.3, 0.2, 0.1)

  def test_estimates_follow_the_distance_to_the_nearest_keypoint(self, caplog):
    # Of figures of area 10,000: 0 and 1 lie 20 apart, 2 lies 30 from 1, 3 is never labelled.
    points = np.array([[0, 0, 2], [20, 0, 2], [50, 0, 1], [3, 0, 0]])
    figures = [person(points, 1e4), person(points * [3, 3, 1], 9e4)]
    skeleton = resolve(CORNERS, {'sigmas': 'estimate'}, figures)
    np.testing.assert_allclose(skeleton.sigmas, [0.0534, 0.0534, 0.0801, 0.107])
    assert 'sigmas were estimated' in caplog.text

  def test_estimates_for_coco_come_near_the_official_ones(self, real_data):
    figures = []
    for split in ('train', 'val'):
      path = f'{real_data}/coco/annotations/person_keypoints_{split}2017.json'
      dataset = coco_read.read(path)
      found = coco_read.people_by_image(dataset, (1,), 17, path, pictures.Faults())
      figures += [p for group in found.values() for p in group]
    ratio = np.array(own_skeleton.estimate_sigmas(figures, 17)) / skeletons.COCO.sigmas
    assert np.abs(np.log(ratio)).max() < np.log(1.45)
    # One constant for all, the best one, is off by far more.
    constant = np.exp(np.mean(np.log(skeletons.COCO.sigmas))) / skeletons.COCO.sigmas
    assert np.abs(np.log(constant)).max() > np.log(2.3)


class TestRead:
  def test_a_known_name(self):
    assert own_skeleton.read('mpii') is skeletons.MPII

  def test_a_file_is_named_after_itself(self, tmp_path):
    layouts.write(tmp_path / 'sign.json', {'sigmas': 'estimate'})
    assert own_skeleton.read(str(tmp_path / 'sign.json')) == {'name': 'sign', 'sigmas': 'estimate'}

  @pytest.mark.parametrize(
    ('content', 'message'),
    [
      (b'{', 'is not JSON'),
      (b'[]', 'must hold an object'),
      (json.dumps({'sigma': []}).encode(), "Did you mean 'sigmas'"),
    ],
  )
  def test_other_files_are_refused(self, tmp_path, content, message):
    layouts.write(tmp_path / 'a.json', content)
    with pytest.raises(PosejaxError, match=message):
      own_skeleton.read(str(tmp_path / 'a.json'))

  def test_neither_name_nor_file(self):
    with pytest.raises(PosejaxError, match="Did you mean 'coco'"):
      own_skeleton.read('cocoo')
