"""The API, by Flask's own client: answers, limits and bad input."""

import io
import json
import struct
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax import labels as labels_lib
from posejax.errors import PosejaxError
from posejax.infer.results import Instance, Result
from posejax.web import page
from posejax.web.app import create_app
from posejax.web.limits import Limits
from tests.web import beacons

PREDICT = '/api/v1/predict'
FIGURES = [beacons.figure(150, 40, 300), beacons.figure(330, 30, 260)]
PICTURE = beacons.paint((360, 500), FIGURES)


def files(*pairs):
  return {'image': [(io.BytesIO(data), name) for name, data in pairs]}


def post(client, *pairs, query=''):
  return client.post(PREDICT + query, data=files(*pairs))


def png_header(width, height):
  """Return a PNG of 70 bytes that says it is as large as that."""

  def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

  header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  body = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')
  return b'\x89PNG\r\n\x1a\n' + body


def exif_turned(image, orientation):
  """Return a JPEG whose pixels must be turned by its EXIF tag; made byte by byte."""
  data = beacons.jpeg(image)
  tiff = b'II*\0\x08\0\0\0\x01\0' + struct.pack('<HHII', 0x0112, 3, 1, orientation) + b'\0' * 4
  body = b'Exif\0\0' + tiff
  return data[:2] + b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body + data[2:]


def assert_is_figures(result, figures, atol=1.0):
  found = sorted(result['instances'], key=lambda i: i['box'][0])
  assert len(found) == len(figures)
  for instance, figure in zip(found, figures, strict=True):
    points = [[k['x'], k['y']] for k in instance['keypoints']]
    np.testing.assert_allclose(points, figure, atol=atol)


def test_people_of_several_pictures_are_found(make_client):
  client = make_client(beacons.Beacons())
  alone = beacons.paint((200, 320), [beacons.figure(99, 20, 150)], radius=3)
  response = post(
    client, ('a.png', beacons.jpeg(PICTURE, '.png')), ('../b.jpg', beacons.jpeg(alone))
  )
  assert response.status_code == 200
  body = response.json
  assert body['model'] == 'beacons'
  assert body['milliseconds'] > 0
  first, second = body['results']
  assert (first['name'], first['height'], first['width']) == ('a.png', 360, 500)
  assert second['name'] == '../b.jpg'  # shown, never opened
  assert_is_figures(first, FIGURES)
  assert_is_figures(second, [beacons.figure(99, 20, 150)])
  names = [k['name'] for k in first['instances'][0]['keypoints']]
  assert names == list(beacons.LABELS.keypoints)


def test_a_raw_body_is_a_picture(make_client):
  client = make_client(beacons.Beacons())
  response = client.post(PREDICT, data=beacons.jpeg(PICTURE), content_type='image/jpeg')
  assert response.status_code == 200
  assert_is_figures(response.json['results'][0], FIGURES)


def test_kinds_of_pictures(make_client):
  client = make_client(beacons.Beacons())
  for extension in ('.png', '.webp', '.bmp', '.tiff'):
    body = post(client, ('x', beacons.jpeg(PICTURE, extension))).json
    assert_is_figures(body['results'][0], FIGURES)


@pytest.mark.parametrize(('orientation', 'turns'), [(3, 2), (6, 1), (8, 3)])
def test_exif_turns_pictures_upright(make_client, orientation, turns):
  client = make_client(beacons.Beacons())
  data = exif_turned(np.rot90(PICTURE, turns), orientation)
  result = post(client, ('x', data)).json['results'][0]
  assert (result['height'], result['width']) == (360, 500)
  assert_is_figures(result, FIGURES)


def test_threshold_says_what_is_visible(make_client):
  client = make_client(beacons.Beacons())
  data = beacons.jpeg(PICTURE)
  for threshold in (0.0, 0.9, 1.0):
    body = post(client, ('x', data), query=f'?threshold={threshold}').json
    keypoints = [k for i in body['results'][0]['instances'] for k in i['keypoints']]
    expected = [k['score'] >= threshold for k in keypoints]
    assert [k['visible'] for k in keypoints] == expected
  assert any(expected)
  assert not all(expected)


@pytest.mark.parametrize(
  ('query', 'says'),
  [
    ('?threshold=2', 'from 0 to 1'),
    ('?threshold=nan', 'from 0 to 1'),
    ('?threshold=', 'from 0 to 1'),
    ('?treshold=0.1', "'threshold'"),
  ],
)
def test_bad_options(make_client, query, says):
  client = make_client(beacons.Beacons())
  response = post(client, ('x', beacons.jpeg(PICTURE)), query=query)
  assert response.status_code == 400
  assert says in response.json['error']


def bad_pictures():
  whole = beacons.jpeg(PICTURE)
  return {
    'empty': (b'', '0 bytes'),
    'text': (b'hello, I am no picture', 'no picture'),
    'truncated': (whole[: len(whole) // 2], 'cut short'),
    'truncated png': (beacons.jpeg(PICTURE, '.png')[:400], 'damaged'),
    'header only': (whole[:20], 'without a header'),
    'svg': (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'no picture'),
    'huge': (png_header(30_000, 30_000), 'pixels'),
    'large': (png_header(10_000, 6_000), '10000x6000'),
  }


@pytest.mark.parametrize('kind', bad_pictures())
def test_bad_pictures_are_named_and_the_rest_goes_on(make_client, kind):
  client = make_client(beacons.Beacons())
  data, says = bad_pictures()[kind]
  response = post(client, ('bad', data))
  assert response.status_code == 422
  assert response.json['results'] == [
    {'name': 'bad', 'error': response.json['results'][0]['error']}
  ]
  assert says in response.json['results'][0]['error']
  response = post(client, ('bad', data), ('good', beacons.jpeg(PICTURE)))
  assert response.status_code == 200
  bad, good = response.json['results']
  assert says in bad['error']
  assert_is_figures(good, FIGURES)


def test_requests_that_are_none(make_client):
  client = make_client(beacons.Beacons(), limits=Limits(pictures=2))
  data = beacons.jpeg(PICTURE)

  def answers(response, status, says):
    assert response.status_code == status
    assert says in response.json['error']

  answers(client.get(PREDICT), 405, 'method')
  answers(client.delete('/healthz'), 405, 'method')
  assert client.get(PREDICT).headers['Allow'] == 'OPTIONS, POST'
  answers(client.get('/nothing'), 404, '')
  answers(client.post(PREDICT, data=data, content_type='application/json'), 415, 'multipart')
  answers(client.post(PREDICT, data=data), 415, 'multipart')
  text = {'data': {'image': 'text'}, 'content_type': 'multipart/form-data'}
  answers(client.post(PREDICT, **text), 400, "'image'")
  answers(client.post(PREDICT, data={'file': (io.BytesIO(data), 'x')}), 400, "'file'")
  answers(client.post(PREDICT, content_type='multipart/form-data; boundary=b'), 400, 'no picture')
  answers(client.post(PREDICT, data=b'', content_type='multipart/form-data'), 400, 'no picture')
  answers(post(client, *[('x', data)] * 3), 400, '3 pictures')
  nameless = b'--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--\r\n'
  boundary = {'content_type': 'multipart/form-data; boundary=b'}
  answers(client.post(PREDICT, data=nameless, **boundary), 400, 'None')
  answers(post(client, *[('x', data)] * 40), 400, 'at most 2 pictures')


def test_bytes_are_bound(make_client):
  client = make_client(beacons.Beacons(), limits=Limits(request_bytes=5000))
  assert post(client, ('x', b'\0' * 6000)).status_code == 413
  assert client.post(PREDICT, data=b'\0' * 6000, content_type='image/png').status_code == 413


def test_instances_are_bound(make_client):
  client = make_client(beacons.Beacons(), limits=Limits(instances=1))
  result = post(client, ('x', beacons.jpeg(PICTURE, '.png'))).json['results'][0]
  assert len(result['instances']) == 1


def test_limits_are_positive():
  with pytest.raises(PosejaxError, match='batch must be positive, got 0'):
    Limits(batch=0)


def test_a_net_without_keypoints(make_client):
  class Brightness:
    labels = labels_lib.LabelSpace(('dark', 'bright'))
    name = 'brightness'
    threshold = 0.5

    def __call__(self, images):
      return [self._look(image) for image in images]

    def _look(self, image):
      h, w = image.shape[:2]
      label = int(image.mean() > 127)
      return Result((h, w), (Instance(np.array([0, 0, w - 1, h - 1]), 0.75, label),))

  client = make_client(Brightness())
  white = np.full((30, 40, 3), 255, np.uint8)
  (instance,) = post(client, ('x', beacons.jpeg(white))).json['results'][0]['instances']
  assert instance == {'label': 'bright', 'score': 0.75, 'box': [0, 0, 39, 29]}
  assert client.get('/api/v1/model').json['limbs'] == []
  for threshold, count in ((0.75, 1), (0.8, 0)):
    body = post(client, ('x', beacons.jpeg(white)), query=f'?threshold={threshold}').json
    assert len(body['results'][0]['instances']) == count


def test_a_net_that_fails_on_a_picture_harms_no_other(make_client, caplog):
  class Picky(beacons.Beacons):
    def __call__(self, images):
      if any(image.shape[0] < 50 for image in images):
        raise ValueError('too small for me')
      return super().__call__(images)

  client = make_client(Picky())
  small = beacons.jpeg(PICTURE[:40])
  both = post(client, ('small', small), ('good', beacons.jpeg(PICTURE)))
  assert both.status_code == 200
  assert 'The net failed on this picture' in both.json['results'][0]['error']
  assert both.json['results'][1]['instances']
  response = post(client, ('small', small))
  assert response.status_code == 500
  assert 'too small for me' not in response.text  # which is for the log
  assert 'too small for me' in caplog.text
  assert post(client, ('good', beacons.jpeg(PICTURE))).status_code == 200


def test_the_model_is_described(make_client):
  model = make_client(beacons.Beacons()).get('/api/v1/model').json
  skeleton = beacons.LABELS.skeleton
  assert model['keypoints'] == list(skeleton.keypoints)
  assert [tuple(model['keypoints'][k] for k in limb) for limb in model['limbs']] == list(
    skeleton.limbs
  )
  for name, side in zip(model['keypoints'], model['sides'], strict=True):
    assert name.startswith(side) or side == 'middle'
    assert side != 'middle' or not name.startswith(('left', 'right'))
  red, _, blue = model['colors']['left']
  assert red > blue  # the person's own left is warm
  assert model['threshold'] == 0.3


def test_others_pages_may_not_ask(make_client):
  client = make_client(beacons.Beacons(), names=['pose.example.org'])
  data = beacons.jpeg(PICTURE)

  def status(**headers):
    headers = {name.replace('_', '-'): value for name, value in headers.items()}
    response = client.post(PREDICT, data=data, content_type='image/jpeg', headers=headers)
    return response.status_code

  assert status(Origin='https://evil.example') == 403
  assert status(Origin='null') == 403
  assert status(Sec_Fetch_Site='cross-site') == 403
  assert status(Host='evil.example') == 403  # its name points at this machine: DNS rebinding
  assert status(Host='127.0.0.1.evil.example:8000') == 403
  assert status(Host=']') == 403
  assert client.get('/api/v1/model', headers={'Host': 'evil.example'}).status_code == 403
  assert status(Host='127.0.0.1:8000', Origin='http://127.0.0.1:8000') == 200
  assert status(Host='127.0.0.1:8000', Origin='http://127.0.0.1:9000') == 403
  assert status(Host='[::1]:8000', Sec_Fetch_Site='same-origin') == 200
  assert status(Host='POSE.example.org') == 200


def test_every_answer_has_the_headers(make_client):
  client = make_client(beacons.Beacons())
  for path in ('/', '/app.js', '/api/v1/model', '/nothing', PREDICT):
    headers = client.get(path).headers
    assert "default-src 'none'" in headers['Content-Security-Policy']
    assert 'unsafe' not in headers['Content-Security-Policy']
    assert "frame-ancestors 'none'" in headers['Content-Security-Policy']
    assert headers['X-Content-Type-Options'] == 'nosniff'
    assert headers['Referrer-Policy'] == 'no-referrer'
    assert 'camera=(self)' in headers['Permissions-Policy']


def test_only_the_pages_files_are_served(make_client):
  client = make_client(beacons.Beacons())
  assert client.get('/').data == client.get('/index.html').data
  for path in ('/../app.py', '/%2e%2e/app.py', '//etc/passwd', '/static/app.js', '/.'):
    assert client.get(path).status_code == 404
  etag = client.get('/app.js').headers['ETag']
  assert client.get('/app.js', headers={'If-None-Match': etag}).status_code == 304
  assert client.get('/app.js').content_type.startswith('text/javascript')


def test_metrics_count(make_client):
  client = make_client(beacons.Beacons())
  data = beacons.jpeg(PICTURE)
  post(client, ('x', data), ('y', b'nothing'))
  post(client, ('y', b'nothing'))
  client.get('/somewhere/else')
  text = client.get('/metrics').text
  lines = dict(line.rsplit(' ', 1) for line in text.splitlines() if not line.startswith('#'))
  assert lines['posejax_requests_total{route="/api/v1/predict",status="200"}'] == '1.0'
  assert lines['posejax_requests_total{route="/api/v1/predict",status="422"}'] == '1.0'
  assert lines['posejax_requests_total{route="none",status="404"}'] == '1.0'
  assert lines['posejax_pictures_total{outcome="predicted"}'] == '1.0'
  assert lines['posejax_pictures_total{outcome="refused"}'] == '2.0'
  assert lines['posejax_request_seconds_count'] == '2.0'
  assert lines['posejax_batch_size_sum'] == '1.0'
  assert lines['posejax_requests_in_flight'] == '0.0'


def test_large_uploads_are_not_written_to_disk(make_client, monkeypatch):
  client = make_client(beacons.Beacons())

  def refuse(*args, **kwargs):
    raise AssertionError('a temporary file was opened')

  data = beacons.jpeg(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8), '.png')
  assert len(data) > 2**21
  monkeypatch.setattr('tempfile.TemporaryFile', refuse)
  monkeypatch.setattr('tempfile.SpooledTemporaryFile', refuse)
  monkeypatch.setattr('werkzeug.formparser.SpooledTemporaryFile', refuse)
  assert post(client, ('x', data)).status_code == 200


@pytest.fixture(scope='module')
def fuzzed():
  app = create_app(beacons.Beacons())
  yield app.test_client()
  app.extensions['posejax'].batcher.close(5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_bytes_break_the_server(fuzzed, data):
  small = beacons.paint((40, 56), [beacons.figure(20, 4, 34)], radius=2)
  whole = beacons.jpeg(
    small, data.draw(st.sampled_from(['.jpg', '.png', '.webp', '.bmp', '.tiff']))
  )
  start = data.draw(st.integers(0, len(whole)))
  end = data.draw(st.integers(start, len(whole)))
  broken = whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:]
  raw = data.draw(st.sampled_from([broken, broken[:start], whole[start:]]))
  response = fuzzed.post(PREDICT, data=raw, content_type='image/png')
  assert response.status_code in (200, 422)
  (result,) = json.loads(response.text)['results']
  assert ('error' in result) == (response.status_code == 422)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_form_breaks_the_server(fuzzed, data):
  lines = [
    b'--b',
    b'Content-Disposition: form-data; name="image"; filename="a.png"',
    b'Content-Type: image/png',
    b'',
    beacons.jpeg(beacons.paint((40, 56), [], radius=2), '.png'),
    b'--b--',
    b'Content-Disposition: form-data; name="image"',
    b'Content-Disposition: form-data; filename="x"',
    data.draw(st.binary(max_size=40)),
  ]
  chosen = data.draw(st.lists(st.sampled_from(lines), max_size=14))
  end = data.draw(st.sampled_from([b'', b'\r\n', b'\r\n--b--\r\n']))
  content_type = data.draw(
    st.sampled_from(
      ['multipart/form-data; boundary=b', 'multipart/form-data', 'multipart/form-data; boundary=""']
    )
  )
  response = fuzzed.post(PREDICT, data=b'\r\n'.join(chosen) + end, content_type=content_type)
  assert response.status_code in (200, 400, 413, 422)
  assert response.json


def test_the_document_names_every_route(make_client):
  client = make_client(beacons.Beacons(), limits=Limits(pictures=7))
  document = client.get('/openapi.json').json
  documented = {
    (path, method.upper()) for path, methods in document['paths'].items() for method in methods
  }
  files = {f'/{name}' for name in page.files()} | {'/', '/config.json'}
  routes = {
    (rule.rule, method)
    for rule in client.application.url_map.iter_rules()
    for method in rule.methods - {'HEAD', 'OPTIONS'}
    if rule.rule not in files
  }
  assert documented == routes
  form = document['paths'][PREDICT]['post']['requestBody']['content']['multipart/form-data']
  assert form['schema']['properties']['image']['maxItems'] == 7
