import json

from posejax import labels


def test_classes_are_numbered_as_in_their_file():
  coco = labels.LabelSpace(tuple(labels.COCO_CATEGORIES.values()))
  assert coco.category_ids == tuple(labels.COCO_CATEGORIES)
  assert labels.LabelSpace(('cat', 'dog')).category_ids == (1, 2)
  own = labels.LabelSpace(('cat', 'dog'), None, (7, 3))
  assert own == labels.LabelSpace(('cat', 'dog')), 'another file of the same classes'
  written = json.loads(json.dumps(own.to_json()))
  assert labels.LabelSpace.from_json(written).category_ids == (7, 3)
  del written['category_ids']
  assert labels.LabelSpace.from_json(written).category_ids == (1, 2)
