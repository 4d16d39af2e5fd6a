"""Fixtures of the web application's tests; without its extra they are skipped."""

import contextlib

import pytest

from posejax.web.app import create_app
from tests.web import beacons, browser, looking


@pytest.fixture(scope='session', autouse=True)
def extra():
  for name in ('flask', 'uvicorn', 'prometheus_client'):
    pytest.importorskip(name, reason="needs pip install 'posejax[web]'")


@pytest.fixture
def make_client():
  """Return a function from a net and limits to a Flask test client."""
  with contextlib.ExitStack() as stack:

    def make(predictor, **kwargs):
      app = create_app(predictor, **kwargs)
      stack.callback(app.extensions['posejax'].batcher.close, 5)
      return app.test_client()

    yield make


@pytest.fixture(scope='session')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  two = [beacons.figure(200, 40, 380), beacons.figure(450, 60, 340)]
  (folder / 'two people.jpg').write_bytes(beacons.jpeg(beacons.paint((480, 640), two)))
  (folder / 'nobody.png').write_bytes(beacons.jpeg(beacons.paint((300, 500), []), '.png'))
  (folder / 'broken.jpg').write_bytes(b'no picture')
  # A film of JPEGs, which Chromium plays in a circle as its camera.
  frame = beacons.jpeg(beacons.paint((480, 640), [looking.FIGURE]))
  (folder / 'camera.mjpeg').write_bytes(5 * frame)
  return folder


@pytest.fixture(scope='session')
def chromium(files):
  flags = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']
  camera = f'--use-file-for-fake-video-capture={files / "camera.mjpeg"}'
  with browser.Browser(*flags, camera) as running_browser:
    yield running_browser
