from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax import skeletons
from posejax.data.formats import coco_read, pictures
from posejax.errors import PosejaxError
from tests.data import layouts

K = 17


def people(dataset, num_keypoints=K):
  faults = pictures.Faults()
  found = coco_read.people_by_image(dataset, (1,), num_keypoints, 'a.json', faults)
  return found, dict(faults.counts)


def one(**changes):
  """Return a file with one picture and one annotation, of which some keys are changed."""
  dataset = layouts.coco_dataset(1)
  points = layouts.figure(np.random.default_rng(5), K)
  changed = {**layouts.annotation(7, 1, points), **changes}
  dataset['annotations'] = [{key: v for key, v in changed.items() if v is not None}]
  return dataset


def test_people_come_by_picture_in_the_files_order():
  dataset = layouts.coco_dataset(3)
  dataset['images'].reverse()
  dataset['annotations'].reverse()
  found, counts = people(dataset)
  assert {i: [p.annotation_id for p in group] for i, group in found.items()} == {
    3: [31, 30],
    2: [21, 20],
    1: [11, 10],
  }
  assert list(found) == [3, 2, 1]
  assert not counts
  by_id = {a['id']: a for a in dataset['annotations']}
  for person in (p for group in found.values() for p in group):
    triples = np.reshape(by_id[person.annotation_id]['keypoints'], (K, 3))
    np.testing.assert_array_equal(person.keypoints, triples[:, :2])
    np.testing.assert_array_equal(person.visibility, triples[:, 2])
    assert person.area == by_id[person.annotation_id]['area']
    assert (person.keypoints.dtype, person.visibility.dtype) == (np.float32, np.int32)


@settings(max_examples=60, deadline=None)
@given(*[st.integers(-120, 360) for _ in range(4)])
def test_boxes_are_cleaned_as_in_the_published_code(x, y, w, h):
  height, width = layouts.HW
  x, y, w, h = x / 4, y / 4, w / 4, h / 4
  x1, y1 = max(0.0, x), max(0.0, y)
  x2 = min(width - 1.0, x1 + max(0.0, w - 1))
  y2 = min(height - 1.0, y1 + max(0.0, h - 1))
  found, counts = people(one(bbox=[x, y, w, h], area=5.0))
  np.testing.assert_allclose(found[1][0].box, [x1, y1, x2, y2], rtol=1e-6)
  assert not counts


def test_without_a_box_the_keypoints_tell_it():
  dataset = one(bbox=None, area=None)
  person = people(dataset)[0][1][0]
  labelled = person.keypoints[person.visibility > 0]
  np.testing.assert_array_equal(person.box, [*labelled.min(axis=0), *labelled.max(axis=0)])
  assert person.area == np.prod(np.ptp(labelled, axis=0))


def test_without_an_area_the_box_tells_it():
  assert people(one(bbox=[2, 3, 10, 20], area=None))[0][1][0].area == 200


@pytest.mark.parametrize(
  'changes', [{'keypoints': [0] * 51}, {'keypoints': None}, {'keypoints': [9, 9, 0] * 17}]
)
def test_people_without_labelled_keypoints_are_there(changes):
  found, counts = people(one(bbox=[2, 3, 10, 20], area=77, **changes))
  (person,) = found[1]
  assert not counts
  assert (person.visibility.shape, person.visibility.any()) == ((K,), False)
  assert person.keypoints.shape == (K, 2)
  np.testing.assert_array_equal(person.box, [2, 3, 11, 22])
  assert (person.area, person.crowd, person.annotation_id) == (77, False, 7)


def test_who_is_wholly_outside_the_picture_has_no_labelled_keypoints():
  (person,) = people(one(keypoints=[900, 900, 2] * 17))[0][1]
  assert not person.visibility.any()


@pytest.mark.parametrize('keypoints', [[0] * 51, [5, 5, 2] * 17, None, [1, 2, 3]])
def test_crowds_are_there_and_nobody_of_them_has_keypoints(keypoints):
  found, counts = people(one(iscrowd=1, bbox=[2, 3, 10, 20], keypoints=keypoints))
  (person,) = found[1]
  assert not counts
  assert person.crowd
  assert not person.visibility.any()
  np.testing.assert_array_equal(person.box, [2, 3, 11, 22])


@pytest.mark.parametrize('changes', [{'keypoints': None}, {'iscrowd': 1}])
def test_who_has_no_place_is_counted(changes):
  found, counts = people(one(bbox=None, **changes))
  assert (found, counts) == ({}, {'annotations with neither box nor keypoints': 1})


def test_labels_are_the_places_of_the_categories():
  dataset = layouts.coco_dataset(1)
  for annotation, category in zip(dataset['annotations'], (9, 4), strict=True):
    annotation['category_id'] = category
  found = coco_read.people_by_image(dataset, (4, 9), K, 'a.json', pictures.Faults())
  assert [person.label for person in found[1]] == [1, 0]


def test_what_names_no_keypoints_has_none_and_unlisted_categories_are_counted():
  dataset = layouts.coco_dataset(2)
  dataset['categories'] += [{'id': 30, 'name': 'ball'}]
  ball, strange = dataset['annotations'][1:3]
  ball |= {'category_id': 30, 'keypoints': [1, 2, 0.7]}
  strange['category_id'] = 31
  faults = pictures.Faults()
  found = coco_read.people_by_image(dataset, (30, 1), K, 'a.json', faults)
  assert [(p.label, p.visibility.any()) for p in found[1]] == [(1, True), (0, False)]
  assert [p.annotation_id for p in found[2]] == [21]
  assert faults.counts == {'annotations of a category that the file does not list': 1}


def test_keypoints_outside_the_picture_are_not_labelled():
  h, w = layouts.HW
  places = [(5, 6), (w, h), (-1, -1), (w + 1.5, 5), (5, h + 2), (-2, 5)]
  flat = [value for x, y in places for value in (x, y, 2)] + [0] * 33
  found, counts = people(one(keypoints=flat))
  np.testing.assert_array_equal(found[1][0].visibility[:7], [2, 2, 2, 0, 0, 0, 0])
  assert counts == {'keypoints outside their picture': 3}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'keypoints': [1, 2, 2] * 16}, r'a\.json: annotation 7 has 48 keypoint numbers; .* need 51'),
    ({'keypoints': [1, 2, 0.53] * 17}, r"annotation 7: a keypoint's third number is 0\.53"),
    ({'keypoints': ['x', 2, 2] * 17}, 'annotation 7: keypoints must be numbers'),
    ({'keypoints': [float('nan'), 2, 2] * 17}, 'annotation 7: keypoints must be finite'),
    ({'bbox': [1, 2, 3]}, r'annotation 7: bbox \[1, 2, 3\] must be four numbers'),
    ({'bbox': [1, 2, 3, float('inf')]}, 'annotation 7: bbox .* must be finite'),
    ({'image_id': 4}, r'a\.json: annotation 7 belongs to image 4, which the file does not list'),
  ],
)
def test_inconsistent_annotations_are_refused(changes, message):
  with pytest.raises(PosejaxError, match=message):
    people(one(**changes))


class TestRead:
  def test_a_missing_file(self, tmp_path):
    with pytest.raises(PosejaxError, match='No annotations at .*a.json.*"keypoints"'):
      coco_read.read(str(tmp_path / 'a.json'))

  @pytest.mark.parametrize(
    ('content', 'message'),
    [
      (b'{"images": [', 'is not JSON'),
      ([], "no list 'images'"),
      ({'images': [], 'annotations': {}}, "no list 'annotations'"),
      ({'images': [{'id': 1}], 'annotations': [], 'categories': []}, 'needs "id" and "file_name"'),
      ({'images': [], 'annotations': [], 'categories': []}, r'the categories have the ids \[\]'),
      ({'images': [], 'annotations': [], 'categories': [{'name': 'cat'}]}, r'the ids \[None\]'),
      (
        {'images': [], 'annotations': [], 'categories': [{'id': 4}, {'id': 4}]},
        r'the ids \[4, 4\]; there must be one at least',
      ),
    ],
  )
  def test_another_format(self, tmp_path, content, message):
    layouts.write(tmp_path / 'a.json', content)
    with pytest.raises(PosejaxError, match=message):
      coco_read.read(str(tmp_path / 'a.json'))


class TestCategory:
  def category(self, *categories):
    return coco_read.keypoint_category({'categories': list(categories)}, 'a.json')

  def test_those_without_keypoints_are_passed_over(self):
    person = {'id': 3, 'name': 'person', 'keypoints': ['a', 'b']}
    assert self.category({'id': 1, 'name': 'car'}, person) == person

  def test_kinds_with_the_same_keypoints_count_together(self):
    cat, dog = ({'id': i, 'name': n, 'keypoints': ['nose']} for i, n in ((1, 'cat'), (2, 'dog')))
    assert self.category(cat, dog) == cat

  def test_categories_of_one_name_are_told_apart_by_their_numbers(self):
    one, two, dog = ({'id': i, 'name': n} for i, n in ((5, 'cat'), (2, 'cat'), (3, 'dog')))
    assert coco_read.class_names({'categories': [one, dog]}) == ('cat', 'dog')
    assert coco_read.class_names({'categories': [one, two]}) == ('cat 5', 'cat 2')
    assert coco_read.class_names({'categories': [{'id': 3}]}) == ('3',)

  def test_two_skeletons_are_refused(self):
    with pytest.raises(PosejaxError, match=r"'cat' and 'hand' have different keypoints"):
      self.category(
        {'id': 1, 'name': 'cat', 'keypoints': ['nose']},
        {'id': 2, 'name': 'hand', 'keypoints': ['thumb']},
      )

  def test_none_is_refused(self):
    with pytest.raises(PosejaxError, match=r"a\.json: no category names its \"keypoints\".*'car'"):
      self.category({'id': 1, 'name': 'car'})


def test_the_real_annotations_are_read_whole(real_data):
  path = f'{real_data}/coco/annotations/person_keypoints_train2017.json'
  dataset = coco_read.read(path)
  category = coco_read.keypoint_category(dataset, path)
  assert tuple(category['keypoints']) == skeletons.COCO.keypoints
  found, counts = people(dataset)
  everybody = [person for group in found.values() for person in group]
  assert len(everybody) == len(dataset['annotations']) == 358
  assert sum(person.crowd for person in everybody) == 9
  assert sum(person.visibility.any() for person in everybody) == 196
  assert not counts
