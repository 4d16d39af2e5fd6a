"""`posejax export`: files that answer as the run does, or no files."""

import json
import os
import re

import cv2
import numpy as np
import pytest

from posejax import cli
from posejax.data.synthetic.film import DrawnFilm
from posejax.infer.export import check, stablehlo
from posejax.infer.predictor import Predictor
from posejax.infer.runtimes.litert_runtime import LiteRt
from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
from posejax.web.page import RUNTIME_FILES


@pytest.fixture(scope='module')
def predictor(tiny_run):
  return Predictor.load(tiny_run, 'latest')


@pytest.fixture
def export(capsys, tiny_run):
  def run(*words):
    code = cli.main(['export', f'--workdir={tiny_run}', '--checkpoint=latest', *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err

  return run


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """A folder of pictures, and a COCO-format file of the people on them."""
  folder = tmp_path_factory.mktemp('calibration')
  dataset = {'images': [], 'annotations': [], 'categories': []}
  skeleton = DrawnFilm.skeleton
  dataset['categories'] = [{'id': 1, 'name': 'person', 'keypoints': list(skeleton.keypoints)}]
  for number in range(1, 7):
    frame = DrawnFilm(number, 1, (120, 200), people=2)[0]
    cv2.imwrite(str(folder / f'{number}.png'), frame['image'][..., ::-1])
    dataset['images'].append(
      {'id': number, 'file_name': f'{number}.png', 'height': 120, 'width': 200}
    )
    people = zip(frame['boxes'], frame['keypoints'], frame['visibility'], strict=True)
    for (x1, y1, x2, y2), points, visibility in people:
      triples = np.concatenate([points, visibility[:, None]], 1) * (visibility > 0)[:, None]
      box = [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]
      dataset['annotations'].append(
        {
          'id': len(dataset['annotations']) + 1,
          'image_id': number,
          'category_id': 1,
          'bbox': box,
          'area': box[2] * box[3],
          'iscrowd': 0,
          'num_keypoints': int((visibility > 0).sum()),
          'keypoints': triples.ravel().tolist(),
        }
      )
  (folder / 'people.json').write_text(json.dumps(dataset))
  return folder


def crops(predictor):
  return check.try_inputs(predictor.task.input_size, in_image=True)


def test_onnx(export, predictor, tmp_path):
  path = tmp_path / 'net.onnx'
  code, output, _ = export('--format=onnx', f'--out={path}')
  assert code == 0
  assert f'{path}: 0 of 68 keypoints off by more than 0.01 px' in output
  inputs = crops(predictor)
  found = OnnxRuntime(path.read_bytes())({'images': inputs['images']})
  expected = predictor.task.infer(predictor.pipeline.variables, inputs['images'])
  np.testing.assert_allclose(found['keypoints'], expected['keypoints_crop'], atol=1e-2)


def test_tflite_in_pixels_of_the_picture(export, predictor, tmp_path):
  path, small = tmp_path / 'net.tflite', tmp_path / 'half.tflite'
  code, output, _ = export('--format=tflite', '--in_image', f'--out={path}')
  assert code == 0
  assert f'{path}: 0 of 68 keypoints off by more than 0.01 px' in output
  inputs = crops(predictor)
  found = LiteRt(path.read_bytes())(inputs)['keypoints']
  keypoints = predictor.task.infer(predictor.pipeline.variables, inputs['images'])['keypoints_crop']
  ones = np.ones((*keypoints.shape[:2], 1), np.float32)
  expected = np.concatenate([keypoints, ones], -1) @ inputs['affines'].transpose(0, 2, 1)
  np.testing.assert_allclose(found, expected, atol=2e-2)
  assert export('--format=tflite', '--quantize=float16', f'--out={small}')[0] == 0
  assert small.stat().st_size < path.stat().st_size


def test_stablehlo_in_pixels_of_the_picture(export, predictor, tmp_path):
  path = tmp_path / 'net.stablehlo'
  code, _, _ = export('--format=stablehlo', '--in_image', f'--out={path}')
  assert code == 0
  run, about = stablehlo.read(path.read_bytes())
  assert about['frame'] == 'image'
  inputs = crops(predictor)
  found = run(inputs)['keypoints']
  keypoints = predictor.task.infer(predictor.pipeline.variables, inputs['images'])['keypoints_crop']
  ones = np.ones((*keypoints.shape[:2], 1), np.float32)
  expected = np.concatenate([keypoints, ones], -1) @ inputs['affines'].transpose(0, 2, 1)
  np.testing.assert_allclose(found, expected, atol=2e-2)


def test_a_page_for_any_host(export, predictor, tmp_path):
  dist, site = tmp_path / 'dist', tmp_path / 'site'
  dist.mkdir()
  for name in RUNTIME_FILES:
    (dist / name).write_text(f'stands in for {name}')
  code, output, _ = export('--format=web', f'--ort={dist}', f'--out={site}')
  assert code == 0
  assert f'python -m http.server -d {site}' in output
  config = json.loads((site / 'config.json').read_text())
  assert config['view'] == {'input': [32, 24], 'padding': 1.25, 'convention': 'msra'}
  assert config['rescoring'] == 'product'
  assert config['info']['keypoints'] == list(predictor.labels.keypoints)
  assert (site / 'ort' / RUNTIME_FILES[0]).read_text().startswith('stands in')
  assert (site / 'index.html').exists()
  images = crops(predictor)['images']
  assert OnnxRuntime((site / config['model']).read_bytes())({'images': images})['scores'].shape


def test_8_bits_say_what_they_cost(export, pictures, tmp_path):
  path = tmp_path / 'net.onnx'
  words = ['--format=onnx', '--quantize=int8', f'--out={path}', f'--calibration={pictures}']
  code, output, _ = export(*words)
  assert code == 0
  # Of six whole pictures every third is held out.
  assert f'{path}: ' in output
  assert 'of 34 keypoints' in output
  assert 'moved by more than a cell' in output
  assert path.exists()
  (pictures / '9.jpg').write_bytes(b'\xff\xd8\xff no picture')
  code, output, errors = export(*words, f'--boxes={pictures}/people.json')
  (pictures / '9.jpg').unlink()
  assert code == 0
  assert 'of 34 keypoints' not in output
  assert re.search(r'Left out: .*9\.jpg', errors)


def test_8_bits_say_what_they_cost_on_labelled_people(export, predictor, pictures, tmp_path):
  words = ['--format=onnx', '--quantize=int8', f'--out={tmp_path}/net', f'--calibration={pictures}']
  code, output, _ = export(*words, f'--labels={pictures}/people.json')
  assert code == 0
  people, exact, rough = re.search(
    r'PCK@0.20/box of (\d+) people ([\d.]+) in floats, ([\d.]+) in 8', output
  ).groups()
  # By the Predictor, and counted by hand.
  annotations = json.loads((pictures / 'people.json').read_text())['annotations']
  hits = []
  for one in annotations[::3]:
    x, y, w, h = one['bbox']
    image = cv2.imread(str(pictures / f'{one["image_id"]}.png'))[..., ::-1]
    (found,) = predictor(np.ascontiguousarray(image), [[x, y, x + w - 1, y + h - 1]]).instances
    truth = np.array(one['keypoints']).reshape(-1, 3)
    apart = np.linalg.norm(found.keypoints - truth[:, :2], axis=1)
    hits += (apart <= 0.2 * max(w, h))[truth[:, 2] > 0].tolist()
  assert int(people) == len(annotations[::3])
  assert float(exact) == pytest.approx(np.mean(hits), abs=0.03)
  assert abs(float(rough) - float(exact)) < 0.3


def test_a_file_that_would_answer_otherwise_is_not_left(export, tmp_path, monkeypatch):
  monkeypatch.setattr(check, 'SCORE', -1.0)  # nothing is as good as that
  for kind in ('onnx', 'tflite', 'stablehlo', 'web'):
    out = tmp_path / kind / 'net'
    code, _, errors = export(f'--format={kind}', f'--out={out}', f'--ort={tmp_path}')
    assert code == 2
    assert 'is not written' in errors or 'npm install' in errors
    assert not out.exists()
    assert not os.path.exists(out.parent) or os.listdir(out.parent) == []


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['--format=stablehlo', '--quantize=int8', '--calibration=x'], 'goes with --format=onnx'),
    (['--format=onnx', '--quantize=int8'], 'need each other'),
    (['--format=onnx', '--calibration=x'], 'need each other'),
    (['--format=onnx', '--quantize=int8', '--calibration', 'a', 'b', '--labels=x'], 'one folder'),
    (['--format=onnx', '--quantize=float16'], 'goes with --format=tflite, not with onnx'),
    (['--format=tflite', '--quantize=int8', '--calibration=x'], 'goes with --format=onnx and web'),
    (['--format=tflite', '--quantize=float16', '--calibration=x'], 'need each other'),
    (['--format=web', '--in_image'], '--in_image goes with plain'),
    (['--format=onnx', '--quantize=int8', '--calibration=nothing'], 'nothing: there is no such'),
    (['--format=web', '--threshold=7'], '--threshold=7.0 must be from 0 to 1'),
    (['--format=onnx', '--threshold=0.3'], '--threshold is kept by --format=web and safetensors'),
    (
      ['--format=tflite', '--boxes=b.json'],
      '--boxes=FILE.json are of the pictures of --calibration',
    ),
    (['--format=safetensors', '--threshold=7'], '--threshold=7.0 must be from 0 to 1'),
    (['--format=safetensors'], 'must end in .safetensors'),
    (['--format=web', '--ort=nowhere'], 'npm install onnxruntime-web'),
  ],
)
def test_wrong_use_is_one_sentence(export, tmp_path, words, message):
  code, _, errors = export(*words, f'--out={tmp_path}/net')
  assert (code, message in errors, errors.count('\n')) == (2, True, 1)
  assert os.listdir(tmp_path) == []


def test_too_few_pictures_to_calibrate_on(export, pictures, tmp_path):
  words = ['--format=onnx', '--quantize=int8', f'--calibration={pictures}/1.png']
  code, _, errors = export(*words, f'--out={tmp_path}/net')
  assert (code, '--calibration gave 1 crops' in errors) == (2, True)
