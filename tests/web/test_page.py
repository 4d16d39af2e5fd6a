"""The page in a browser: pictures, the live view, keyboard, screen reader, and without a server."""

import base64
import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

import cv2
import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.web import page as page_lib
from tests.web import beacons, browser, running

READY = '"ready" in document.documentElement.dataset'
FOUND = 'document.getElementById("pictures-status").textContent.startsWith("Found")'
FIGURE = beacons.figure(240, 50, 380)


def write_camera(path, frames):
  """Write a film of JPEGs, which Chromium plays in a circle as its camera."""
  path.write_bytes(b''.join(map(beacons.jpeg, frames)))


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  two = [beacons.figure(200, 40, 380), beacons.figure(450, 60, 340)]
  (folder / 'two people.jpg').write_bytes(beacons.jpeg(beacons.paint((480, 640), two)))
  (folder / 'nobody.png').write_bytes(beacons.jpeg(beacons.paint((300, 500), []), '.png'))
  (folder / 'broken.jpg').write_bytes(b'no picture')
  write_camera(folder / 'camera.mjpeg', [beacons.paint((480, 640), [FIGURE])] * 5)
  return folder


@pytest.fixture(scope='module')
def chromium(files):
  flags = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']
  camera = f'--use-file-for-fake-video-capture={files / "camera.mjpeg"}'
  with browser.Browser(*flags, camera) as running_browser:
    yield running_browser


@pytest.fixture(scope='module')
def url():
  with running.server() as (_, address):
    yield address


@pytest.fixture(params=[((800, 1280), False), ((844, 390), True)], ids=['wide', 'phone, dark'])
def page(request, chromium, url):
  opened = chromium.open(url, *request.param)
  opened.wait_for(READY)
  return opened


def is_warm(pixel):
  return pixel[0] > pixel[2] + 60


CANVAS_PIXEL = """(() => {{
  const canvas = document.querySelector('{selector}');
  return [...canvas.getContext('2d').getImageData({x}, {y}, 1, 1).data];
}})()"""


def pixel(page, selector, x, y):
  return page.evaluate(CANVAS_PIXEL.format(selector=selector, x=round(x), y=round(y)))


def test_pictures_are_uploaded_drawn_and_saved(page, chromium, files, tmp_path):
  page.set_files('#files', [str(files / name) for name in ('two people.jpg', 'nobody.png')])
  page.wait_for(FOUND)
  assert page.text('#pictures-status') == 'Found 2 people on 2 pictures.'
  assert page.text('.card h2') == 'two people.jpg'
  label = page.evaluate('document.querySelector(".card canvas").getAttribute("aria-label")')
  assert label == 'two people.jpg: 2 people'
  # Beside the beacon, on the upper arm of the left: in its side's colour.
  shoulder, elbow = (
    beacons.figure(200, 40, 380)[beacons.LABELS.skeleton.index(name)]
    for name in ('left_shoulder', 'left_elbow')
  )
  middle = (shoulder + elbow) / 2
  assert is_warm(pixel(page, '.card canvas', *middle))

  chromium.call('Browser.setDownloadBehavior', behavior='allow', downloadPath=str(tmp_path))
  for number, name in ((1, 'two people-pose.png'), (2, 'two people-pose.json')):
    page.click(f'.card .buttons button:nth-child({number})')
    end = time.monotonic() + 20
    while not (tmp_path / name).exists():
      assert time.monotonic() < end
      time.sleep(0.05)
  saved = cv2.imread(str(tmp_path / 'two people-pose.png'))[..., ::-1]
  assert saved.shape == (480, 640, 3)
  assert is_warm(saved[round(middle[1]), round(middle[0])].astype(int))
  result = json.loads((tmp_path / 'two people-pose.json').read_text(encoding='utf-8'))
  assert len(result['instances']) == 2
  assert (result['model'], result['name'], result['width']) == ('beacons', 'two people.jpg', 640)

  page.click('#clear')
  assert page.evaluate('document.querySelectorAll(".card").length') == 0
  assert page.evaluate('document.activeElement.id') == 'choose'
  assert page.problems == []
  assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')


def test_a_broken_file_is_named_and_the_rest_goes_on(page, files):
  page.set_files('#files', [str(files / name) for name in ('broken.jpg', 'two people.jpg')])
  page.wait_for(FOUND)
  assert page.text('#pictures-status') == 'Found 2 people on 1 picture; 1 could not be read.'
  assert 'no picture' in page.text('.card .problem')


def test_the_slider_hides_what_is_less_sure(page, files):
  page.set_files('#files', [str(files / 'two people.jpg')])
  page.wait_for(FOUND)
  assert '28 of 28 keypoints' in page.text('.card .quiet')
  page.evaluate("""(() => {
    const slider = document.getElementById('confidence');
    slider.value = 0.9;
    slider.dispatchEvent(new Event('input'));
  })()""")
  left = int(page.text('.card .quiet').split(' · ')[1].split(' ')[0])
  assert 0 < left < 28


DROP = """(async () => {{
  const data = await (await fetch('data:image/jpeg;base64,{data}').catch(() => null))?.blob()
    ?? new Blob([Uint8Array.from(atob('{data}'), (c) => c.charCodeAt(0))]);
  const transfer = new DataTransfer();
  transfer.items.add(new File([data], '{name}', {{ type: 'image/jpeg' }}));
  const options = {{ bubbles: true, cancelable: true }};
  const event = '{kind}' === 'drop'
    ? new DragEvent('drop', {{ ...options, dataTransfer: transfer }})
    : new ClipboardEvent('paste', {{ ...options, clipboardData: transfer }});
  document.body.dispatchEvent(event);
}})()"""


@pytest.mark.parametrize('kind', ['drop', 'paste'])
def test_pictures_are_dropped_and_pasted(chromium, url, files, kind):
  page = chromium.open(url)
  page.wait_for(READY)
  page.click('#tab-live')  # from where the results are shown, too
  data = base64.b64encode((files / 'two people.jpg').read_bytes()).decode()
  page.evaluate(DROP.format(data=data, name='x.jpg', kind=kind))
  page.wait_for(FOUND)
  assert page.text('#pictures-status') == 'Found 2 people on 1 picture.'
  assert page.evaluate('!document.getElementById("pictures").hidden')


# Counts what is in flight from now on.
COUNT = """(() => {
  const ask = window.fetch;
  window.most = window.now = window.sent = 0;
  window.fetch = async (...rest) => {
    window.sent += 1;
    window.most = Math.max(window.most, ++window.now);
    try { return await ask(...rest); } finally { window.now -= 1; }
  };
})()"""


def start_camera(page):
  page.click('#tab-live')
  page.click('#start')
  page.wait_for('/[0-9]/.test(document.getElementById("fps").textContent)')


def overlay_point(page, name, mirrored):
  """Return where a keypoint of FIGURE is on the overlay canvas, by the stage's letterbox."""
  h, w = page.evaluate('(({height, width}) => [height, width])(document.getElementById("overlay"))')
  scale = min(h / 480, w / 640)
  x, y = FIGURE[beacons.LABELS.skeleton.index(name)]
  x = 639 - x if mirrored else x
  return (x + 0.5) * scale + (w - 640 * scale) / 2, (y + 0.5) * scale + (h - 480 * scale) / 2


def test_the_live_view(page):
  page.evaluate(COUNT)
  start_camera(page)
  page.wait_for('window.sent > 8')
  assert page.evaluate('window.most') == 1  # never a queue of stale frames
  assert page.text('#live-status') == 'Found 1 person.'
  assert page.text('#latency').endswith(' ms')
  for mirrored in (True, False):
    assert page.evaluate('document.getElementById("mirror").checked') == mirrored
    side = overlay_point(page, 'left_wrist', mirrored)
    other = overlay_point(page, 'right_ankle', mirrored)
    found = [pixel(page, '#overlay', *point) for point in (side, other)]
    # The picture is mirrored, the names are not: the person's own left stays warm.
    assert is_warm(found[0])
    assert found[1][2] > found[1][0] + 60
    page.click('#mirror')
  page.click('#start')
  assert page.evaluate('document.getElementById("video").srcObject') is None
  assert page.text('#start') == 'Start the camera'
  time.sleep(0.3)
  sent = page.evaluate('window.sent')
  time.sleep(0.3)
  assert page.evaluate('window.sent') == sent
  assert page.problems == []
  assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')


def test_leaving_the_live_view_stops_the_camera(chromium, url):
  page = chromium.open(url)
  page.wait_for(READY)
  start_camera(page)
  page.click('#tab-pictures')
  assert page.evaluate('document.getElementById("video").srcObject') is None


def test_a_server_that_goes_away_is_named(chromium):
  with running.server() as (_, address):
    page = chromium.open(address)
    page.wait_for(READY)
    start_camera(page)
  page.wait_for('!document.getElementById("live-problem").hidden')
  assert 'does not answer' in page.text('#live-problem')


FOCUSED = 'document.activeElement.id || document.activeElement.textContent'


def test_everything_is_reached_by_keyboard(chromium, url, files):
  page = chromium.open(url)
  page.wait_for(READY)
  page.set_files('#files', [str(files / 'two people.jpg')])
  page.wait_for(FOUND)

  def walk(count):
    names = []
    for _ in range(count):
      page.press('Tab', 9)
      names.append(page.evaluate(FOCUSED))
      outline = page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
      assert outline == 'solid', names  # the focus is seen
    return names

  page.evaluate('document.activeElement.blur()')
  assert walk(7) == [
    'Skip to the content', 'tab-pictures', 'confidence', 'choose', 'clear', 'Save picture', 'Save JSON'
  ]  # fmt: skip
  page.evaluate('document.getElementById("tab-pictures").focus()')
  page.press('ArrowRight', 39)
  assert page.evaluate(FOCUSED) == 'tab-live'
  assert walk(4) == ['confidence', 'start', 'camera', 'mirror']
  page.press(' ', 32, ' ')
  assert not page.evaluate('document.getElementById("mirror").checked')
  page.evaluate('document.getElementById("start").focus()')
  page.press('Enter', 13, '\r')
  page.wait_for('document.getElementById("video").srcObject != null')


def test_a_screen_reader_is_told(chromium, url):
  page = chromium.open(url)
  page.wait_for(READY)
  for tab in ('#tab-pictures', '#tab-live'):
    page.click(tab)
    nodes = page.call('Accessibility.getFullAXTree')['nodes']
    nodes = [node for node in nodes if not node['ignored']]
    roles = [node['role']['value'] for node in nodes]
    assert 'status' in roles  # the live region that says how many were found
    assert 'main' in roles
    for node in nodes:
      interactive = ('button', 'slider', 'checkbox', 'combobox', 'tab', 'link', 'img', 'tabpanel')
      if node['role']['value'] in interactive:
        assert node['name']['value'].strip(), node


CONTRAST = """(() => {
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (css) => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = css; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('h1, h2, p, button, label, li, dt, dd, a')]
    .filter((e) => e.checkVisibility() && e.textContent.trim())
    .map((e) => [e.textContent.trim(), rgb(getComputedStyle(e).color), ground(e)]);
})()"""


def test_words_stand_out_from_their_ground(page):
  # Source: WCAG 2.2, relative luminance and contrast ratio; 4.5 is its level AA.
  def luminance(color):
    c = np.array(color[:3]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [
      0.2126,
      0.7152,
      0.0722,
    ]

  found = page.evaluate(CONTRAST)
  assert len(found) > 8
  for text, ink, ground in found:
    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ink, ground)


def test_geometry_in_node():
  node = shutil.which('node')
  if not node:
    pytest.skip('no node to run JavaScript with')
  file = pathlib.Path(__file__).with_name('geometry.test.mjs')
  run = subprocess.run([node, '--test', str(file)], capture_output=True, text=True, check=False)
  assert run.returncode == 0, run.stdout + run.stderr


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
    'enough': np.float32(3),
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

  asked = []

  class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, *_):
      asked.append((self.command, self.path))

  handler = functools.partial(Handler, directory=str(site))
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = chromium.open(f'http://127.0.0.1:{server.server_port}/')
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
