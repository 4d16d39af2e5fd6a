import json

import numpy as np
import pytest

from posejax.data.formats import decode
from posejax.data.sources import cache, coco_file, detections
from posejax.data.sources.people import People
from posejax.data.synthetic.people import SyntheticPeople
from posejax.errors import PosejaxError
from tests.data import layouts


@pytest.fixture
def crowded(tmp_path):
  """A source of two pictures with five people each."""
  dataset = layouts.coco_dataset(2)
  rng = np.random.default_rng(0)
  dataset['annotations'] = [
    layouts.annotation(10 * i + n, i, layouts.figure(rng, 17)) for i in (1, 2) for n in range(5)
  ]
  layouts.write(tmp_path / 'people.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  return coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images'))


@pytest.fixture
def decoded(monkeypatch):
  """Every encoded picture that is decoded from now on."""
  made, decode_image = [], decode.decode_image

  def counting(image, *args, **kwargs):
    if isinstance(image, bytes):
      made.append(image)
    return decode_image(image, *args, **kwargs)

  monkeypatch.setattr(decode, 'decode_image', counting)
  return made


def test_a_picture_is_decoded_and_kept_once_however_many_people_are_on_it(crowded, decoded):
  plain, cached = People(crowded), People(cache.Cached(crowded))
  assert len(cached) == len(plain) == 10
  images = []
  for _ in range(2):
    for i in (7, 0, 4, 9, 2, 1, 8, 3, 5, 6):
      example, expected = cached[i], plain[i]
      assert example.keys() == expected.keys()
      for key in expected.keys() - {'image'}:
        np.testing.assert_array_equal(example[key], expected[key])
      images.append(example['image'])
  assert decoded == [layouts.jpeg(2), layouts.jpeg(1)]
  assert len({id(image) for image in images}) == 2
  np.testing.assert_array_equal(cached[3]['image'], decode.decode_image(layouts.jpeg(1)))
  assert (cached.fingerprint, cached.image_ids) == (plain.fingerprint, plain.image_ids)


def test_detected_boxes_share_their_pictures(crowded, decoded, tmp_path):
  boxes = [
    {'image_id': 1 + n % 2, 'category_id': 1, 'bbox': [n, 2, 9, 20], 'score': 0.5} for n in range(6)
  ]
  (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
  found = detections.read(str(tmp_path / 'boxes.json'), crowded.image_ids)
  source = detections.DetectedPeople(People(cache.Cached(crowded)), found)
  for i in range(6):
    assert source[i]['image'].shape == (*layouts.HW, 3)
  assert decoded == [layouts.jpeg(1), layouts.jpeg(2)]


def test_only_what_is_asked_for_is_drawn_once():
  drawn = []

  class Counting(SyntheticPeople):
    def __getitem__(self, index):
      drawn.append(index)
      return super().__getitem__(index)

  plain, cached = SyntheticPeople('eval'), cache.Cached(Counting('eval'))
  for _ in range(2):
    for i in (3, 1):
      assert plain[i].keys() == cached[i].keys()
      assert all(np.array_equal(cached[i][key], value) for key, value in plain[i].items())
  assert drawn == [3, 1]
  assert (len(cached), cached.fingerprint) == (len(plain), plain.fingerprint)


def test_a_broken_picture_is_named_by_its_file(crowded, tmp_path):
  layouts.cut_short(tmp_path / 'images' / f'{2:012d}.jpg')
  with pytest.raises(PosejaxError, match='000000000002.jpg: a JPEG cut short'):
    cache.Cached(crowded)[1]
