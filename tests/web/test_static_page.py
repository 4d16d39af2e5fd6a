"""The page without a server: a folder, and the net in the browser."""

import contextlib
import functools
import http.server
import os
import threading
import time

import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer.export import files as export
from posejax.labels import LabelSpace
from posejax.web import page as page_lib
from tests.infer import finder
from tests.web import beacons
from tests.web.looking import FIGURE, FOUND, READY, is_warm, overlay_point, pixel, start_camera


@pytest.fixture
def runtime():
  folder = os.environ.get('POSEJAX_ORT_WEB')
  if not folder:
    pytest.skip('POSEJAX_ORT_WEB names no node_modules/onnxruntime-web/dist')
  pytest.importorskip('onnx', reason='onnx writes the net of this test')
  return folder


def write_finder(path, hw):
  """Write a net that finds one figure's beacons as `Beacons` does: the centre of each hue's pixels.

  It is a soft mask by distance in RGB, and its score is how much of the colour there is.
  """
  import onnx
  from onnx import TensorProto, helper, numpy_helper

  h, w = hw
  ys, xs = np.mgrid[:h, :w].astype(np.float32)
  constants = {
    'colors': beacons.COLORS.astype(np.float32).reshape(1, 1, 1, -1, 3),
    'near': np.float32(60),
    'grid': np.stack([xs, ys], -1).reshape(1, h, w, 1, 2),
    'little': np.float32(1e-3),
    'enough': np.float32(12),
    'one': np.float32(1),
    'a3': np.array([3]),
    'a4': np.array([4]),
    'pixels': np.array([1, 2]),
  }
  nodes = [
    ('Cast', ['images'], 'float', {'to': TensorProto.FLOAT}),
    ('Unsqueeze', ['float', 'a3'], 'rows', {}),
    ('Sub', ['rows', 'colors'], 'differences', {}),
    ('Abs', ['differences'], 'distances', {}),
    ('ReduceSum', ['distances', 'a4'], 'distance', {'keepdims': 1}),
    ('Sub', ['near', 'distance'], 'closeness', {}),
    ('Relu', ['closeness'], 'weights', {}),
    ('ReduceSum', ['weights', 'pixels'], 'total', {'keepdims': 0}),
    ('Mul', ['weights', 'grid'], 'weighted', {}),
    ('ReduceSum', ['weighted', 'pixels'], 'sum', {'keepdims': 0}),
    ('Add', ['total', 'little'], 'divisor', {}),
    ('Div', ['sum', 'divisor'], 'keypoints', {}),
    ('Mul', ['total', 'little'], 'small', {}),
    ('Mul', ['small', 'enough'], 'amount', {}),
    ('Min', ['amount', 'one'], 'limited', {}),
    ('Squeeze', ['limited', 'axis2'], 'scores', {}),
  ]
  constants['axis2'] = np.array([2])
  graph = helper.make_graph(
    [helper.make_node(kind, inputs, [output], **more) for kind, inputs, output, more in nodes],
    'finder',
    [helper.make_tensor_value_info('images', TensorProto.UINT8, ['B', h, w, 3])],
    [
      helper.make_tensor_value_info('keypoints', TensorProto.FLOAT, ['B', beacons.K, 2]),
      helper.make_tensor_value_info('scores', TensorProto.FLOAT, ['B', beacons.K]),
    ],
    [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
  )
  model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8)
  onnx.checker.check_model(model)
  path.write_bytes(model.SerializeToString())


def describe_static(**changes):
  values = {
    'labels': beacons.LABELS,
    'name': 'finder',
    'threshold': 0.3,
    'input_hw': (256, 192),
    'box_padding': 1.25,
    'convention': 'msra',
    'rescoring': 'product',
  }
  return values | changes


def test_without_a_server(chromium, runtime, files, tmp_path):
  write_finder(tmp_path / 'finder.onnx', (256, 192))
  site = tmp_path / 'site'
  page_lib.write_static(
    str(site), onnx_file=str(tmp_path / 'finder.onnx'), runtime=runtime, **describe_static()
  )
  one = tmp_path / 'one.jpg'
  one.write_bytes(beacons.jpeg(beacons.paint((480, 640), [FIGURE])))

  with hosting(site) as (url, asked):
    page = chromium.open(url)
    page.wait_for(READY)
    page.set_files('#files', [str(one)])
    page.wait_for(FOUND)
    assert page.text('#pictures-status') == 'Found 1 person on 1 picture.'
    assert 'no picture leaves this machine' in page.text('#drop')
    assert points_error(page) < 2.0  # whole picture: a crop's pixel is 3.3 of the picture's
    before = len(asked)
    start_camera(page)
    page.wait_for('document.getElementById("live-status").textContent == "Found 1 person."')
    time.sleep(0.5)
    assert is_warm(pixel(page, '#overlay', *overlay_point(page, 'left_wrist', mirrored=True)))
    assert len(asked) == before  # frames stay here
    assert {method for method, _ in asked} == {'GET'}
    assert page.problems == []


def test_the_page_finds_what_the_predictor_finds(chromium, runtime, tmp_path):
  predictor = finder.predictor()
  path, site = str(tmp_path / 'finder.onnx'), tmp_path / 'site'
  export.write_onnx(path, predictor.pipeline)
  page_lib.write_static(
    str(site),
    labels=predictor.labels,
    name=predictor.name,
    threshold=predictor.threshold,
    onnx_file=path,
    input_hw=predictor.pipeline.crop_size,
    box_padding=predictor.pipeline.box_padding,
    convention=predictor.pipeline.convention,
    rescoring=predictor.task.codec.rescoring,
    runtime=runtime,
  )
  image = beacons.paint((480, 300), [beacons.figure(130, 30, 420)], radius=14)
  (tmp_path / 'one.png').write_bytes(beacons.jpeg(image, '.png'))
  with hosting(site) as (url, _):
    page = chromium.open(url)
    page.wait_for(READY)
    page.set_files('#files', [str(tmp_path / 'one.png')])
    page.wait_for(FOUND)
    (found,) = page.evaluate(JSON_OF_CARD)['instances']
  (expected,) = predictor(image).instances
  points = np.array([[k['x'], k['y']] for k in found['keypoints']])
  np.testing.assert_allclose(points, expected.keypoints, atol=0.25)
  assert found['score'] == pytest.approx(expected.score, abs=0.01)
  np.testing.assert_allclose(
    [k['score'] for k in found['keypoints']], expected.keypoint_scores, atol=0.02
  )
  np.testing.assert_allclose(found['box'], expected.box, atol=0.3)


@contextlib.contextmanager
def hosting(site):
  """Serve a folder as a static host does; yield its address and the list of what is asked for."""
  asked = []

  class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, *_):
      asked.append((self.command, self.path))

  handler = functools.partial(Handler, directory=str(site))
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/', asked
    server.shutdown()


JSON_OF_CARD = """(async () => {
  let blob;
  const create = URL.createObjectURL;
  URL.createObjectURL = (b) => { blob = b; return create(b); };
  document.querySelector('.card .buttons button:nth-child(2)').click();
  URL.createObjectURL = create;
  return JSON.parse(await blob.text());
})()"""


def points_error(page):
  """Return the largest distance between what the first card found and FIGURE, in pixels."""
  (instance,) = page.evaluate(JSON_OF_CARD)['instances']
  points = np.array([[k['x'], k['y']] for k in instance['keypoints']])
  return np.linalg.norm(points - FIGURE, axis=1).max()


def test_a_static_page_that_cannot_be(tmp_path):
  with pytest.raises(PosejaxError, match='npm install onnxruntime-web'):
    page_lib.write_static(
      str(tmp_path / 'site'), onnx_file='x', runtime=str(tmp_path), **describe_static()
    )
  with pytest.raises(PosejaxError, match='finds none'):
    labels = LabelSpace(('cat', 'dog'))
    page_lib.write_static(
      str(tmp_path / 'site'), onnx_file='x', runtime='x', **describe_static(labels=labels)
    )
  assert not (tmp_path / 'site').exists()
