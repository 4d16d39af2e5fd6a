"""What the tests of the page look at, with a server and without one."""

from tests.web import beacons

READY = '"ready" in document.documentElement.dataset'
FOUND = 'document.getElementById("pictures-status").textContent.startsWith("Found")'
FIGURE = beacons.figure(240, 50, 380)


def is_warm(pixel):
  return pixel[0] > pixel[2] + 60


CANVAS_PIXEL = """(() => {{
  const canvas = document.querySelector('{selector}');
  return [...canvas.getContext('2d').getImageData({x}, {y}, 1, 1).data];
}})()"""


def pixel(page, selector, x, y):
  return page.evaluate(CANVAS_PIXEL.format(selector=selector, x=round(x), y=round(y)))


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
