from posejax import labels


def test_classes_have_cocos_numbers_where_coco_has_them_all():
  dogs = labels.LabelSpace(('dog', 'person'))
  assert dogs.category_ids == (18, 1)
  everything = labels.LabelSpace(tuple(labels.COCO_CATEGORIES.values()))
  assert everything.category_ids == tuple(labels.COCO_CATEGORIES)
  assert labels.LabelSpace(('dog', 'sign')).category_ids == (1, 2)
