"""Whole nets of every family, from crops to keypoints, and files that are left only where they agree."""

import dataclasses
import json
import os
import subprocess
import sys

import cv2
import jax
import numpy as np
import onnx
import pytest

from posejax import weights
from posejax.errors import PosejaxError
from posejax.infer.export import check, files, quantize, stablehlo
from posejax.infer.runtimes.litert_runtime import LiteRt
from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
from posejax.labels import LabelSpace
from posejax.weights.readers import flatbuffers
from tests.infer.export import pipelines

_SNIPPETS = os.path.join(os.path.dirname(__file__), '..', '..', '..', 'docs', 'snippets')


@pytest.mark.parametrize('name', pipelines.NETS)
def test_onnx_answers_as_the_net(name, tmp_path):
  path = tmp_path / 'net.onnx'
  found = files.write_onnx(str(path), pipelines.build(name))
  assert (found.num_keypoints, found.num_off) == (4 * 17, 0)
  assert os.listdir(tmp_path) == ['net.onnx']
  # Two deconvolutions of the flip test share their weights, and so on.
  model = onnx.load(path)
  names = [tensor.name for tensor in model.graph.initializer]
  assert len(names) == len(set(names))
  about = json.loads(model.metadata_props[0].value)
  assert about['labels']['skeleton']['keypoints'][0] == 'nose'
  assert LabelSpace.from_json(about['labels']).keypoints[16] == 'right_ankle'


@pytest.mark.parametrize('name', pipelines.NETS)
def test_tflite_answers_as_the_net(name, tmp_path):
  path, pipeline = tmp_path / 'net.tflite', pipelines.build(name)
  found = files.write_tflite(str(path), pipeline)
  assert (found.num_keypoints, found.num_off) == (4 * 17, 0)
  assert os.listdir(tmp_path) == ['net.tflite']
  # By a reader that has no part in writing it. Two nets of a flip test share their weights.
  kept = [array.tobytes() for array in weights.load(str(path)).values() if array.ndim == 4]
  assert len(kept) == len(set(kept))
  assert sum(map(len, kept)) < 1.2 * sum(a.nbytes for a in jax.tree.leaves(pipeline.variables))


def test_tflite_says_what_it_holds():
  pipeline = pipelines.build('compact', in_image=True)
  model = flatbuffers.root(files.tflite_bytes(pipeline))
  (entry,) = model.tables(6)
  assert entry.text(0) == files.METADATA_KEY
  content = model.tables(4)[entry.number(1, 'I')].numbers(0, 'u1').tobytes()
  assert content.decode() == pipeline.description()
  (signature,) = model.tables(7)
  assert [one.text(0) for one in signature.tables(0)] == ['images', 'affines']
  assert [one.text(0) for one in signature.tables(1)] == ['keypoints', 'scores']


def test_tflite_in_half_the_space(tmp_path):
  path, pipeline = tmp_path / 'net.tflite', pipelines.build('resnet18')
  found = files.write_tflite(str(path), pipeline, half=True)
  assert 0 < found.score < 0.01
  assert path.stat().st_size < 0.52 * len(files.tflite_bytes(pipeline))
  assert max(array.dtype.itemsize for array in weights.load(str(path)).values()) == 4
  wrong = dataclasses.replace(
    pipeline, variables=jax.tree.map(lambda x: 1.1 * x, pipeline.variables)
  )
  with pytest.raises(PosejaxError, match=r'not written.*scores within'):
    check.demand(
      'net.tflite',
      check.agreement(
        LiteRt(files.tflite_bytes(wrong, half=True)),
        lambda inputs: pipeline(**inputs),
        check.try_inputs(pipeline.crop_size, in_image=False),
        half=True,
      ),
    )


def test_keypoints_in_pictures(tmp_path):
  pipeline, in_image = (pipelines.build('compact', in_image) for in_image in (False, True))
  files.write_onnx(str(tmp_path / 'net.onnx'), in_image)
  run = OnnxRuntime((tmp_path / 'net.onnx').read_bytes())
  inputs = check.try_inputs(pipeline.crop_size, in_image=True)
  found = run(inputs)['keypoints']
  crop = OnnxRuntime(files.onnx_bytes(pipeline))({'images': inputs['images']})['keypoints']
  ones = np.ones((*crop.shape[:2], 1), np.float32)
  expected = np.einsum('bij,bkj->bki', inputs['affines'], np.concatenate([crop, ones], -1))
  np.testing.assert_allclose(found, expected, atol=1e-3)


def test_stablehlo_for_three_platforms(tmp_path):
  path, pipeline = tmp_path / 'net.stablehlo', pipelines.build('compact', in_image=True)
  assert files.write_stablehlo(str(path), pipeline).num_off == 0
  data = path.read_bytes()
  run, about = stablehlo.read(data)
  assert (about['frame'], about['inputs']) == ('image', ['images', 'affines'])
  inputs = check.try_inputs(pipeline.crop_size, in_image=True)
  np.testing.assert_allclose(run(inputs)['keypoints'], pipeline(**inputs)['keypoints'], atol=1e-3)
  with pytest.raises(PosejaxError, match='no StableHLO file that posejax wrote'):
    stablehlo.read(b'PK something else')


def test_each_platform_has_its_own_form():
  def fn(images):
    x = images.astype(np.float32)
    y = jax.lax.platform_dependent(x, cpu=lambda x: x + 1, default=lambda x: x + 2)
    return {'keypoints': y}

  (batch,) = jax.export.symbolic_shape('B')
  shapes = {'images': jax.ShapeDtypeStruct((batch, 2), np.uint8)}
  data = stablehlo.to_stablehlo(fn, shapes)
  images = np.array([[1, 2], [3, 4]], np.uint8)
  np.testing.assert_array_equal(
    stablehlo.read(data)[0]({'images': images})['keypoints'], images + 1
  )


def test_a_file_that_disagrees_is_not_left(tmp_path):
  path = str(tmp_path / 'net.onnx')
  pipeline = pipelines.build('compact')
  files.write_onnx(path, pipeline)
  before = (tmp_path / 'net.onnx').read_bytes()
  model = onnx.load_from_string(before)
  for tensor in model.graph.initializer:
    if len(tensor.dims) == 4 and tensor.data_type == onnx.TensorProto.FLOAT:
      wrong = onnx.numpy_helper.to_array(tensor) * 1.1
      tensor.CopyFrom(onnx.numpy_helper.from_array(wrong, tensor.name))
      break
  inputs = check.try_inputs(pipeline.crop_size, in_image=False)

  def verify(data):
    return check.demand(path, check.agreement(OnnxRuntime(data), lambda x: pipeline(**x), inputs))

  with pytest.raises(PosejaxError, match=r'not written.*scores within'):
    check.write(path, model.SerializeToString(), verify)
  # What was there before stays, and nothing else.
  assert (tmp_path / 'net.onnx').read_bytes() == before
  assert os.listdir(tmp_path) == ['net.onnx']
  with pytest.raises(PosejaxError, match='cannot be written'):
    check.write(str(tmp_path / 'net.onnx' / 'x'), b'', verify)


def test_comparing():
  points = np.random.default_rng(0).uniform(0, 50, (8, 30, 2)).astype(np.float32)
  scores = np.full((8, 30), 0.5, np.float32)
  right = {'keypoints': points, 'scores': scores}
  assert check.compare(right, right).good
  moved = points.copy()
  moved[0, 0, 1] += 4
  tie = check.compare({'keypoints': moved, 'scores': scores}, right)
  assert (tie.num_ties, tie.num_off, tie.good) == (1, 0, True)
  other = scores.copy()
  other[0, 0] += 5e-5
  assert not check.compare({'keypoints': moved, 'scores': other}, right).good
  assert not check.compare({'keypoints': points + 4, 'scores': scores}, right).good
  assert not check.compare({'keypoints': points, 'scores': scores + 2e-4}, right).good
  assert not check.compare({'keypoints': points * np.nan, 'scores': scores}, right).good
  # Of weights in half precision single keypoints may go elsewhere, and scores differ more.
  half = {'keypoints': moved + 0.5, 'scores': scores + 2e-3}
  assert check.compare(half, right, half=True).good
  assert not check.compare({'keypoints': points + 5, 'scores': scores}, right, half=True).good
  assert not check.compare({'keypoints': points * np.nan, 'scores': scores}, right, half=True).good


def test_of_a_net_that_finds_everybody_all_of_it_is_compared():
  rng = np.random.default_rng(1)
  right = {
    'boxes': rng.uniform(0, 90, (2, 3, 4)),
    'scores': rng.random((2, 3)),
    'labels': rng.integers(0, 2, (2, 3)),
    'keypoints': rng.uniform(0, 90, (2, 3, 5, 2)),
    'keypoint_scores': rng.random((2, 3, 5)),
  }
  found = check.compare(right, right)
  assert (found.good, found.num_keypoints) == (True, 2 * 3 * (5 + 2))
  for name, value in right.items():
    wrong = {**right, name: 1 - value if name == 'labels' else value + 0.1}
    if name in ('boxes', 'keypoints', 'labels'):  # or their own scores tell of a tie
      wrong |= {s: right[s] + 5e-5 for s in ('scores', 'keypoint_scores')}
    assert not check.compare(wrong, right).good, name


def test_8_bit(tmp_path):
  path, pipeline = tmp_path / 'net.onnx', pipelines.build('regression')
  images = np.concatenate(
    [check.try_inputs(pipeline.crop_size, False, seed)['images'] for seed in range(8)]
  )
  found = files.write_int8(str(path), pipeline, images[:16], images[16:], (4.0, 4.0))
  assert found.num_keypoints == 8 * 17
  exact = OnnxRuntime(files.onnx_bytes(pipeline))({'images': images[16:]})['keypoints']
  rough = OnnxRuntime(path.read_bytes())({'images': images[16:]})['keypoints']
  assert found.num_moved == (np.abs(rough - exact) > 4).any(-1).sum()
  spread = np.abs(exact - exact.mean((0, 1))).mean()
  assert 0 < found.median < spread / 5
  kinds = [tensor.data_type for tensor in onnx.load(path).graph.initializer]
  assert kinds.count(onnx.TensorProto.INT8) > 5
  with pytest.raises(PosejaxError, match=r'crops \[N, 40, 28, 3\].*got uint8 \[3, 28, 40, 3\]'):
    quantize.quantize(files.onnx_bytes(pipeline), images[:3].transpose(0, 2, 1, 3))


def test_moved():
  zeros = {'keypoints': np.zeros((1, 3, 2))}
  found = {'keypoints': np.array([[[3, 0], [0, 5], [3.5, 4.5]]])}
  assert quantize.moved(found, zeros, (4, 5)).num_moved == 0
  assert quantize.moved(found, zeros, (3.2, 4.8)).num_moved == 2
  nothing = quantize.moved({'keypoints': zeros['keypoints'] * np.nan}, zeros, (4, 5))
  assert nothing.num_moved == nothing.num_keypoints
  assert not nothing.good


@pytest.mark.parametrize('write', [files.onnx_bytes, files.tflite_bytes])
def test_bfloat16_is_refused_with_the_remedy(write):
  with pytest.raises(PosejaxError, match="build the net with dtype='float32'"):
    write(pipelines.build('compact', dtype='bfloat16'))


@pytest.mark.parametrize('kind', ['onnx', 'tflite'])
def test_the_readers_of_the_docs(kind, tmp_path):
  pipeline = pipelines.build('compact')
  model, picture = str(tmp_path / f'net.{kind}'), str(tmp_path / 'picture.png')
  {'onnx': files.write_onnx, 'tflite': files.write_tflite}[kind](model, pipeline)
  snippet = os.path.join(_SNIPPETS, f'read_{kind}.py')
  image = check.try_inputs((90, 200), in_image=False)['images'][0]
  cv2.imwrite(picture, image[..., ::-1])
  script = f"""
import runpy, sys
for name in ('jax', 'posejax', 'flax'):
  sys.modules[name] = None
sys.argv = ['read', {model!r}, {picture!r}]
runpy.run_path({snippet!r})
"""
  done = subprocess.run(
    [sys.executable, '-c', script], capture_output=True, text=True, timeout=60, check=False
  )
  assert done.returncode == 0, done.stderr[-2000:]
  rows = [line.split() for line in done.stdout.splitlines()]
  assert [row[0] for row in rows] == list(pipeline.labels.keypoints)
  # 24 columns show 200: a crop's pixel is 8 1/3 of the picture's, and the picture stands in its middle.
  crop = cv2.resize(image, (24, 11), interpolation=cv2.INTER_LINEAR)
  assert crop.shape == (11, 24, 3)
  points = np.array([row[1:3] for row in rows], float)
  H, W = pipeline.crop_size
  middle = (H - 90 * 24 / 200) / 2
  on_crop = points * 24 / 200 + (0, middle)
  assert np.all((on_crop >= -1) & (on_crop <= (W, H)))
