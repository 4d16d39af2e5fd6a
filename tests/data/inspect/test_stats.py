import json
import os

import numpy as np
import pytest

from posejax.data.inspect import stats, suspicious, table
from posejax.data.inspect.suspicious import Finding
from posejax.data.sources import coco_file
from posejax.data.sources.people import People
from tests.data import layouts


@pytest.fixture
def counted(tmp_path):
  """Six people on three pictures of a file, and functions that count them."""
  dataset = layouts.coco_dataset(3)
  layouts.write_pictures(tmp_path / 'images', dataset)

  def count(findings=()):
    layouts.write(tmp_path / 'people.json', dataset)
    source = People(coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images')))
    people = table.read(source)
    return source, people, stats.statistics(source, people, findings)

  return dataset, count, tmp_path


def test_counts(counted):
  dataset, count, _ = counted
  dataset['annotations'][5]['iscrowd'] = 1
  source, _, counts = count()
  triples = np.array([a['keypoints'] for a in dataset['annotations'][:5]]).reshape(5, 17, 3)
  assert (counts['people'], counts['pictures_with_people']) == (5, 3)
  assert counts['left_out'] == {'crowd regions': 1}
  assert counts['fingerprint'] == source.fingerprint
  for k, name in enumerate(source.label_space.skeleton.keypoints):
    expected = [int((triples[:, k, 2] == v).sum()) for v in (2, 1, 0)]
    row = counts['keypoints'][name]
    assert [row['visible'], row['hidden'], row['unlabelled']] == expected
  assert counts['people_per_picture'] == {
    'p0': 1, 'p5': 1.1, 'p25': 1.5, 'p50': 2, 'p75': 2, 'p95': 2, 'p100': 2
  }  # fmt: skip
  widths = [a['bbox'][2] - 1 for a in dataset['annotations'][:5]]
  assert counts['boxes']['width']['p100'] == max(widths)
  assert counts['boxes']['width']['p50'] == sorted(widths)[2]
  assert json.loads(json.dumps(counts)) == counts


def test_findings_are_listed_by_kind(counted):
  _, count, _ = counted
  findings = [
    Finding('twice', 2.0, f'as {i}', {'index': i, 'annotation_id': 40 + i}) for i in range(7)
  ] + [Finding('gone', 1.0, 'outside', {'image_name': 'x.jpg'})]
  _, _, counts = count(findings)
  assert [len(rows) for rows in counts['suspicious'].values()] == [7, 1]
  assert counts['suspicious']['twice'][1] == {
    'index': 1, 'annotation_id': 41, 'strength': 2.0, 'detail': 'as 1'
  }  # fmt: skip
  text = stats.text(counts)
  assert 'Suspicious annotations: 8:' in text
  assert 'example 4, annotation 44: as 4' in text
  assert 'annotation 45' not in text
  assert '… and 2 more' in text
  assert 'x.jpg: outside' in text
  row = counts['keypoints']['nose']
  (line,) = [line.split() for line in text.splitlines() if line.startswith('nose ')]
  assert line[1:4] == [str(row[v]) for v in ('visible', 'hidden', 'unlabelled')]


def test_a_set_that_is_swapped_as_a_whole_is_told(counted):
  _, count, _ = counted
  _, _, counts = count()
  counts['facing'] = {'front': 10, 'behind': 40, 'known': 60}
  assert 'MOST ARE LABELLED AS SEEN FROM BEHIND' in stats.text(counts)
  counts['facing'] = {'front': 40, 'behind': 10, 'known': 60}
  assert 'MOST' not in stats.text(counts)


def test_pictures_are_read(counted):
  dataset, count, folder = counted
  source, people, _ = count()
  counts, findings = stats.read_pictures(source, people)
  assert findings == []
  assert counts['pictures_read'] == 3
  assert (counts['height']['p50'], counts['width']['p50']) == layouts.HW
  names = [folder / 'images' / image['file_name'] for image in dataset['images']]
  layouts.write(names[2], names[0].read_bytes())
  layouts.cut_short(names[1])
  counts, findings = stats.read_pictures(source, people)
  assert counts['pictures_read'] == 2
  assert [(f.kind, f.name['image_id']) for f in findings] == [
    ('broken picture', 2),
    ('picture twice', 3),
  ]
  assert os.path.basename(names[1]) in findings[0].detail


def test_a_box_beyond_its_picture(counted):
  dataset, count, _ = counted
  del dataset['images'][0]['height']  # the file does not know better
  dataset['annotations'][0]['bbox'] = [10, 10, 80, 20]
  source, people, _ = count()
  _, findings = stats.read_pictures(source, people)
  assert [(f.kind, f.name['index']) for f in findings] == [('box outside the picture', 0)]


def test_the_worst_take_turns_by_kind():
  findings = [Finding('a', 9 - i, '', {'index': i}) for i in range(4)]
  findings += [Finding('b', 1.0, '', {'index': i}) for i in (1, 8)]
  findings += [Finding('in the file', 1.0, '', {'annotation_id': 3})]
  assert stats.worst(findings, 4) == [(0, 'a'), (1, 'b'), (8, 'b'), (2, 'a')]
  assert stats.worst(findings, 100) == [(0, 'a'), (1, 'b'), (8, 'b'), (2, 'a'), (3, 'a')]


def test_real_lspet_has_known_faults(real_data, tmp_path):
  from posejax.data.sources.prepared import Prepared

  source = People(Prepared('lspet', 'eval', os.path.join(real_data, 'lspet'), str(tmp_path)))
  people = table.read(source)
  crossed = {f.name['index'] for f in suspicious.find(people) if f.kind == 'crossed sides'}
  assert 10 <= len(crossed) <= 40  # 19 of 600, nearly all of them wrong to the eye
  counts = stats.statistics(source, people, [])
  assert counts['facing']['front'] > 2 * counts['facing']['behind']
