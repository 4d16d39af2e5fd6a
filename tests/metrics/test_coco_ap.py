import copy
import json
import os

import numpy as np
from pycocotools import coco, cocoeval
import pytest

from posejax import codecs, skeletons
from posejax.data.sources import detections
from posejax.data.transforms import augment, crops
from posejax.errors import PosejaxError
from posejax.geometry import boxes
from posejax.metrics import coco_ap
from tests import compiling

COCO = skeletons.COCO
CORNERS = (0.05, 0.1, 0.02, 0.3)
ASPECT, PADDING = 192 / 256, 1.25


def _person(rng, image_id, number, K=17):
  """An annotation of random size, from below COCO's medium to its large."""
  size = rng.uniform(20, 60, 2) * rng.choice([1, 2, 4])
  corner = rng.uniform((0, 0), (400, 150))
  keypoints = np.concatenate(
    [corner + rng.uniform(0, 1, (K, 2)) * size, rng.choice(3, (K, 1), p=[0.2, 0.3, 0.5])], -1
  ).round()
  keypoints[0, 2] = 2
  return {
    'id': number,
    'image_id': image_id,
    'category_id': 1,
    'iscrowd': 0,
    'bbox': [*corner.tolist(), *size.tolist()],
    'area': float(0.6 * size.prod()),
    'keypoints': keypoints.astype(int).ravel().tolist(),
    'num_keypoints': int((keypoints[:, 2] > 0).sum()),
  }


def _dataset(seed, num_images=12, K=17, first_id=1):
  """Pictures with none to four persons, some of them crowds or without labelled keypoints."""
  rng = np.random.default_rng(seed)
  dataset = {'images': [], 'annotations': [], 'categories': [{'id': 1, 'name': 'figure'}]}
  for i in range(num_images):
    image_id = 2**33 + 7 * i
    dataset['images'].append({'id': image_id, 'width': 640, 'height': 360})
    for _ in range(rng.integers(0, 5)):
      person = _person(rng, image_id, first_id + len(dataset['annotations']), K)
      kind = rng.uniform()
      if kind < 0.15:
        person |= {'keypoints': [0] * (3 * K), 'num_keypoints': 0}
      elif kind < 0.25:
        person['iscrowd'] = 1
      dataset['annotations'].append(person)
  return dataset


def _rows(dataset, seed, error=0.0, extra=0.0):
  """A result per person, off by `error` times its size, and results where nobody is."""
  rng = np.random.default_rng(seed)
  rows = []
  for person in dataset['annotations']:
    for wrong in [False] + [True] * int(rng.uniform() < extra):
      triples = np.array(person['keypoints'], float).reshape(-1, 3)
      if not person['num_keypoints']:
        x, y, w, h = person['bbox']
        triples[:, :2] = (x, y) + rng.uniform(size=(len(triples), 2)) * (w, h)
      triples[:, :2] += rng.normal(0, 1, triples[:, :2].shape) * error * person['area'] ** 0.5
      triples[:, :2] += wrong * 200
      triples[:, 2] = rng.uniform(0.3, 1, len(triples))
      rows.append(
        {
          'image_id': person['image_id'],
          'category_id': 1,
          'keypoints': triples.ravel().tolist(),
          'score': float(rng.uniform(0, 0.7 if wrong else 1)),
        }
      )
  return rows


def _directly(tmp_path, dataset, rows, sigmas=None, image_ids=None):
  """What somebody with two files and pycocotools' documentation would write."""
  for name, content in (('truth.json', dataset), ('results.json', rows)):
    (tmp_path / name).write_text(json.dumps(content))
  truth = coco.COCO(str(tmp_path / 'truth.json'))
  judge = cocoeval.COCOeval(truth, truth.loadRes(str(tmp_path / 'results.json')), 'keypoints')
  if sigmas is not None:
    judge.params.kpt_oks_sigmas = np.array(sigmas)
  if image_ids is not None:
    judge.params.imgIds = list(image_ids)
  judge.evaluate()
  judge.accumulate()
  judge.summarize()
  return dict(zip(coco_ap.FIGURES, np.where(judge.stats < 0, np.nan, judge.stats), strict=True))


def _evaluate(dataset, rows, sigmas=COCO.sigmas, **options):
  truth = coco_ap.ground_truth(dataset, len(sigmas), **options)
  return coco_ap.evaluate(truth, rows, sigmas)


def _same(actual, expected):
  """Bit by bit, NaN included."""
  assert list(actual) == list(expected)
  np.testing.assert_array_equal(list(actual.values()), list(expected.values()))


class TestAgainstPycocotools:
  @pytest.mark.parametrize('seed', range(3))
  def test_same_bits(self, seed, tmp_path):
    dataset = _dataset(seed)
    rows = _rows(dataset, seed, error=0.06, extra=0.5)
    expected = _directly(tmp_path, dataset, rows)
    assert 0.1 < expected['AP'] < 0.9
    assert len(set(expected.values())) > 6
    _same(_evaluate(dataset, rows), expected)

  def test_four_keypoints(self, tmp_path):
    dataset = _dataset(4, K=4)
    rows = _rows(dataset, 4, error=0.1, extra=0.3)
    expected = _directly(tmp_path, dataset, rows, CORNERS)
    assert 0.1 < expected['AP'] < 0.9
    _same(_evaluate(dataset, rows, CORNERS), expected)
    lenient = _evaluate(dataset, rows, [2 * s for s in CORNERS])
    assert lenient['AP'] > expected['AP']

  def test_some_pictures(self, tmp_path):
    dataset = _dataset(5)
    rows = _rows(dataset, 5, error=0.06, extra=0.5)
    some = [image['id'] for image in dataset['images'][3:8]]
    theirs = [row for row in rows if row['image_id'] in some]
    expected = _directly(tmp_path, dataset, theirs, image_ids=some)
    _same(_evaluate(dataset, theirs, image_ids=some), expected)
    assert expected['AR'] > _evaluate(dataset, theirs)['AR']

  def test_boxes_in_rows_change_nothing_here_and_sizes_there(self, tmp_path):
    dataset = _dataset(6)
    rows = _rows(dataset, 6, error=0.06, extra=1.0)
    for row in rows:
      row['bbox'] = [0, 0, 200, 100]
    with_boxes = _directly(tmp_path, dataset, rows)
    actual = _evaluate(dataset, rows)
    assert actual['AP'] == with_boxes['AP']
    assert actual['AP(M)'] != with_boxes['AP(M)']
    for row in rows:
      del row['bbox']
    _same(actual, _directly(tmp_path, dataset, rows))

  def test_another_category_does_not_count(self, tmp_path):
    dataset = _dataset(7)
    rows = _rows(dataset, 7, error=0.06)
    expected = _directly(tmp_path, dataset, rows)
    dataset['categories'].append({'id': 2, 'name': 'dog'})
    dog = _person(np.random.default_rng(0), dataset['images'][0]['id'], 5000, K=5)
    dataset['annotations'].append(dog | {'category_id': 2})
    _same(_evaluate(dataset, rows), expected)

  def test_says_nothing_and_changes_nothing(self, capsys):
    dataset = _dataset(8)
    rows = _rows(dataset, 8)
    before = copy.deepcopy((dataset, rows))
    truth = coco_ap.ground_truth(dataset, 17)
    first = coco_ap.evaluate(truth, rows, COCO.sigmas)
    _same(coco_ap.evaluate(truth, rows, COCO.sigmas), first)
    assert (dataset, rows) == before
    assert not any('ignore' in annotation for annotation in truth.annotations)
    assert capsys.readouterr() == ('', '')


class TestPerfectAndNothing:
  # pycocotools takes a match with annotation 0 for none.
  @pytest.mark.parametrize('first_id', [0, 1, 900_100_000_000])
  def test_perfect_is_one(self, first_id):
    dataset = _dataset(9, first_id=first_id)
    figures = _evaluate(dataset, _rows(dataset, 9))
    assert set(figures.values()) == {1.0}

  def test_no_results_are_zero(self):
    figures = _evaluate(_dataset(10), [])
    assert set(figures.values()) == {0.0}

  def test_nobody_is_nan(self):
    dataset = _dataset(11)
    rows = _rows(dataset, 11)
    for person in dataset['annotations']:
      person['area'] = 1e5
    figures = _evaluate(dataset, rows)
    assert {name for name, value in figures.items() if np.isnan(value)} == {'AP(M)', 'AR(M)'}
    assert np.isnan(list(_evaluate(dataset | {'annotations': []}, rows).values())).all()

  def test_what_a_file_may_lack(self):
    dataset = _dataset(12)
    rows = _rows(dataset, 12, error=0.06)
    expected = _evaluate(dataset, rows)
    for person in dataset['annotations']:
      if not person['iscrowd']:
        del person['iscrowd']
      if not person['num_keypoints']:
        del person['keypoints']
      del person['num_keypoints']
    _same(_evaluate(dataset, rows), expected)
    for person in dataset['annotations']:
      person['area'] = person['bbox'][2] * person['bbox'][3]
    expected = _evaluate(dataset, rows)
    for person in dataset['annotations']:
      del person['area']
    _same(_evaluate(dataset, rows), expected)
    for person in dataset['annotations']:
      del person['bbox']
    # Ignored persons without a box can't shield results any more; areas are the keypoints' extents.
    truth = coco_ap.ground_truth(dataset, 17).annotations
    seen = [p for p in dataset['annotations'] if 'keypoints' in p]
    assert len(truth) == len(seen) < len(dataset['annotations'])
    points = np.array(seen[0]['keypoints']).reshape(-1, 3)
    points = points[points[:, 2] > 0, :2]
    assert truth[0]['area'] == np.prod(np.ptp(points, axis=0))

  @pytest.mark.parametrize('value', [np.nan, np.inf])
  def test_results_that_are_not_finite_are_refused(self, value):
    dataset = _dataset(13)
    for place in (('keypoints', 0), ('score',)):
      rows = _rows(dataset, 13)
      holder = rows[1] if len(place) == 1 else rows[1][place[0]]
      holder[place[-1]] = value
      with pytest.raises(PosejaxError, match='not finite'):
        _evaluate(dataset, rows)

  def test_what_does_not_belong_together_is_refused(self):
    dataset = _dataset(14)
    rows = _rows(dataset, 14)
    with pytest.raises(PosejaxError, match='annotation 1 has 51 numbers where 4 keypoints'):
      coco_ap.ground_truth(dataset, 4)
    with pytest.raises(PosejaxError, match='a result has 48 numbers where 17'):
      _evaluate(dataset, [rows[0] | {'keypoints': [0] * 48}])
    with pytest.raises(PosejaxError, match='1 of 2 pictures with results are not in .* 785'):
      _evaluate(dataset, [rows[0], rows[1] | {'image_id': 785}])
    with pytest.raises(PosejaxError, match='1 of 1 pictures to evaluate on .* same split'):
      _evaluate(dataset, rows, image_ids=[785])


def _examples(dataset):
  """Who would be predicted: (image id, xyxy box, keypoints, visibility) of labelled persons."""
  for person in dataset['annotations']:
    if person.get('num_keypoints') and not person['iscrowd']:
      x, y, w, h = person['bbox']
      triples = np.array(person['keypoints'], np.float32).reshape(-1, 3)
      box = np.array([x, y, x + w - 1, y + h - 1], np.float32)
      yield person['image_id'], box, triples[:, :2], triples[:, 2].astype(np.int32)


def _records(examples, keypoints=None):
  keypoints = [points for _, _, points, _ in examples] if keypoints is None else keypoints
  K = keypoints[0].shape[0]
  return [
    coco_ap.Record(i, np.asarray(points, np.float32), np.full(K, 0.8, np.float32), examples[i][1])
    for i, points in enumerate(keypoints)
  ]


def _summarize(dataset, examples, records, sigmas=COCO.sigmas, scores=None, taken='gtbox/flip'):
  return coco_ap.summarize(
    records,
    truth=coco_ap.ground_truth(dataset, len(sigmas)),
    lookup=lambda i: (examples[i][0], 1.0 if scores is None else scores[i]),
    num_examples=len(examples),
    sigmas=sigmas,
    aspect=ASPECT,
    box_padding=PADDING,
    taken=taken,
  )


class TestRecords:
  def test_padding_is_no_record(self):
    rng = np.random.default_rng(0)
    predictions = {
      'keypoints_image': rng.uniform(size=(4, 17, 2)).astype(np.float32),
      'scores': rng.uniform(size=(4, 17)).astype(np.float32),
    }
    batch = {'index': np.array([8, 9, -1, -1], np.int32), 'boxes': rng.uniform(size=(4, 4))}
    records = coco_ap.make_records(predictions, batch)
    assert [record.index for record in records] == [8, 9]
    np.testing.assert_array_equal(records[1].keypoints, predictions['keypoints_image'][1])
    np.testing.assert_array_equal(records[1].scores, predictions['scores'][1])
    np.testing.assert_array_equal(records[1].box, batch['boxes'][1])

  def test_every_example_once_in_any_order(self):
    dataset = _dataset(20)
    examples = list(_examples(dataset))
    rng = np.random.default_rng(20)
    noisy = [points + rng.normal(0, 3, points.shape) for _, _, points, _ in examples]
    records = _records(examples, noisy)
    figures = _summarize(dataset, examples, records)
    assert 0 < figures['AP/gtbox/flip'] < 1
    _same(_summarize(dataset, examples, records[::-1]), figures)
    for wrong in (records[1:], [*records, records[0]], [*records[1:], records[1]]):
      with pytest.raises(ValueError, match='every example once'):
        _summarize(dataset, examples, wrong)

  def test_names_are_known_beforehand(self):
    dataset = _dataset(21)
    examples = list(_examples(dataset))
    names = _summarize(dataset, examples, [], taken='detbox/flip+shift')
    assert next(iter(names)) == 'AP/detbox/flip+shift'
    assert np.isnan(list(names.values())).all()
    measured = _summarize(dataset, examples, _records(examples), taken='detbox/flip+shift')
    assert list(measured) == list(names)
    assert set(measured.values()) == {1.0}
    assert set(_summarize(dataset, [], []).values()) == {0.0}

  def test_not_a_number_is_a_miss(self):
    dataset = _dataset(22)
    examples = list(_examples(dataset))
    records = _records(examples)
    records[0].keypoints[3] = np.nan
    records[1].scores[3] = np.inf
    figures = _summarize(dataset, examples, records)
    assert figures['AR/gtbox/flip'] == pytest.approx(1 - 2 / len(examples))


class TestRows:
  def test_scores_doubles_and_form(self):
    dataset = _dataset(23)
    examples = list(_examples(dataset))
    image_id, _, points, _ = examples[0]
    records = _records(examples[:1] * 3, [points, points, points + 300])
    records = [r._replace(index=i) for i, r in enumerate(records)]
    records[2].scores[:] = [0.1] * 16 + [0.5]
    rows = coco_ap.result_rows(
      records, lambda i: (image_id, (0.25, 0.5, 1.0)[i]), COCO.sigmas, ASPECT, PADDING, 3
    )
    assert [row['score'] for row in rows] == pytest.approx([0.5, 0.4])
    assert rows == json.loads(json.dumps(rows))
    assert {row['category_id'] for row in rows} == {3}
    triples = np.array(rows[1]['keypoints']).reshape(17, 3)
    np.testing.assert_array_equal(triples[:, :2], records[1].keypoints)
    np.testing.assert_allclose(triples[:, 2], 0.8)

  def test_rle_ranks_by_a_sum(self):
    # Two boxes on one person, 30 x 80: by product the second stays (0.45 < 0.48), by sum the first,
    # 0.9 + 0.5 + 0.9 against 0.6 + 0.8 + 0.8, of 3.
    box = np.array([10, 10, 40, 90], np.float32)
    scores = [[0.3, 0.9, 0.3], [0.8, 0.8, 0.8]]
    records = [coco_ap.Record(i, np.full((3, 2), i), np.array(scores[i]), box) for i in range(2)]
    sigmas, lookup = (0.1,) * 3, lambda i: (1, (0.9, 0.6)[i])
    for rescoring, stays, score in (('product', 1, 0.48), ('sum', 0, 2.3 / 3)):
      (row,) = coco_ap.result_rows(records, lookup, sigmas, ASPECT, PADDING, rescoring=rescoring)
      assert row['keypoints'][0] == stays
      assert row['score'] == pytest.approx(score)

  def test_doubles_are_told_by_the_area_of_the_padded_box(self):
    # A tall box of 4 x 100: the crop's aspect makes it 75 x 100, the padding 93.75 x 125.
    box = np.array([10, 10, 14, 110], np.float32)
    sigmas = (0.1,)
    area = 93.75 * 125
    for similarity, count in ((0.91, 1), (0.89, 2)):
      distance = (-np.log(similarity) * 2 * area * 0.04) ** 0.5
      records = [
        coco_ap.Record(i, np.array([[i * distance, 0.0]]), np.ones(1), box) for i in range(2)
      ]
      rows = coco_ap.result_rows(records, lambda i: (1, 1 - i / 2), sigmas, ASPECT, PADDING)
      assert len(rows) == count

  def test_other_pictures_have_no_doubles(self):
    records = [coco_ap.Record(i, np.zeros((1, 2)), np.ones(1), np.arange(4)) for i in range(3)]
    rows = coco_ap.result_rows(records, lambda i: (i // 2, 1.0), (0.1,), ASPECT, PADDING)
    assert [row['image_id'] for row in rows] == [0, 1]


@pytest.mark.parametrize('name', ['msra', 'dark', 'udp'])
def test_a_shift_of_the_codec_is_seen(name):
  """Labels → crop → heatmaps → keypoints → AP: exact codecs score 1, half a cell's shift less."""
  rng = np.random.default_rng(30)
  dataset = {'images': [{'id': 1}], 'annotations': [], 'categories': [{'id': 1}]}
  for i in range(6):
    person = _person(rng, 1, i)
    x, y, w, h = person['bbox'] = [80.0 * i, 10.0, 30.0 + 4 * i, 50.0 - 3 * i]
    points = np.array([x, y]) + rng.uniform(0.1, 0.9, (17, 2)) * (w, h)
    person['keypoints'] = np.concatenate([points, np.full((17, 1), 2)], -1).ravel().tolist()
    person['num_keypoints'] = 17
    person['area'] = 0.6 * w * h
    dataset['annotations'].append(person)
  examples = list(_examples(dataset))
  codec = codecs.create(name=name, crop_size=(128, 96), heatmap_size=(32, 24), sigma=2)
  prepare = crops.CropPerson(COCO, (128, 96), codec.convention, augment.create('none'), PADDING)
  labels = [
    prepare.labels({'keypoints': points, 'visibility': seen, 'box': box}, rng)[1]
    for _, box, points, seen in examples
  ]
  crop, seen, to_image = (
    np.stack([one[key] for one in labels]) for key in ('keypoints', 'visibility', 'crop_to_image')
  )
  decoded, _ = compiling.jit(lambda *labels: codec.decode(codec.encode(*labels)[0]))(crop, seen)
  figures = {}
  for shift in (0.0, 0.5):
    points = np.asarray(decoded) + shift * np.array(codec.stride)
    points = np.einsum('bij,bkj->bki', to_image[..., :2], points) + to_image[:, None, :, 2]
    figures[shift] = _summarize(dataset, examples, _records(examples, points))['AP/gtbox/flip']
  assert figures[0.0] == 1.0 or (name == 'msra' and figures[0.0] > 0.95)
  assert figures[0.5] < figures[0.0] - 0.02


@pytest.fixture(scope='module')
def real_data():
  folder = os.environ.get('POSEJAX_REAL_DATA')
  if not folder:
    pytest.skip('POSEJAX_REAL_DATA is not set')
  return folder


def _load(*path):
  with open(os.path.join(*path)) as file:
    return json.load(file)


class TestRealData:
  def test_ground_truth_boxes(self, real_data, tmp_path):
    dataset = _load(real_data, 'coco', 'annotations', 'person_keypoints_val2017.json')
    examples = list(_examples(dataset))
    assert len(examples) == 82
    records = _records(examples)
    assert set(_summarize(dataset, examples, records).values()) == {1.0}
    rng = np.random.default_rng(40)
    noisy = [
      p + rng.normal(0, 0.05, p.shape) * np.sqrt(boxes.area(box)) for _, box, p, _ in examples
    ]
    records = _records(examples, noisy)
    scores = rng.uniform(size=len(examples))
    rows = coco_ap.result_rows(
      records, lambda i: (examples[i][0], scores[i]), COCO.sigmas, ASPECT, PADDING
    )
    expected = _directly(tmp_path, dataset, rows)
    assert 0.1 < expected['AP'] < 0.9
    actual = _summarize(dataset, examples, records, scores=scores, taken='gtbox/flip')
    _same(actual, {f'{name}/gtbox/flip': value for name, value in expected.items()})

  def test_detected_boxes(self, real_data, tmp_path):
    """Every box answers with the person it overlaps most: doubles go, everybody is found."""
    folder = os.path.join(real_data, 'fixtures', 'coco')
    dataset = _load(folder, 'test_coco.json')
    found = detections.read(
      os.path.join(folder, 'test_coco_det_AP_H_56.json'), [i['id'] for i in dataset['images']]
    )
    people = list(_examples(dataset))
    keypoints = []
    for image_id, box in zip(found.image_ids, found.boxes, strict=True):
      theirs = [person for person in people if person[0] == image_id]
      overlap = boxes.iou(box[None], np.stack([person[1] for person in theirs]))[0]
      keypoints.append(theirs[int(overlap.argmax())][2])
    examples = [(i, box, None, None) for i, box in zip(found.image_ids, found.boxes, strict=True)]
    records = _records(examples, keypoints)
    assert len(records) == 118
    rows = coco_ap.result_rows(
      records, lambda i: (examples[i][0], found.scores[i]), COCO.sigmas, ASPECT, PADDING
    )
    assert len(rows) == len(people) == 12
    figures = _summarize(dataset, examples, records, scores=found.scores, taken='detbox/flip')
    assert figures['AP/detbox/flip'] == 1.0
    expected = _directly(tmp_path, dataset, rows)
    _same(figures, {f'{name}/detbox/flip': value for name, value in expected.items()})
