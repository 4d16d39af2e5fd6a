"""The page in a browser: pictures, the live view, keyboard, screen reader, and without a server."""

import base64
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import time

import cv2
import numpy as np
import pytest

from posejax.data.transforms import augment
from posejax.data.transforms.crops import CropPerson
from posejax.geometry import affine
from posejax.infer.tracking import crops as tracking_crops
from posejax.metrics import oks
from posejax.skeletons import COCO
from tests.web import beacons, running
from tests.web.looking import FOUND, READY, is_warm, overlay_point, pixel, start_camera


@pytest.fixture(scope='module')
def url():
  with running.server() as (_, address):
    yield address


@pytest.fixture(params=[((800, 1280), False), ((844, 390), True)], ids=['wide', 'phone, dark'])
def page(request, chromium, url):
  opened = chromium.open(url, *request.param)
  opened.wait_for(READY)
  return opened


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
  assert page.evaluate(
    'document.documentElement.scrollWidth <= document.documentElement.clientWidth'
  )


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
  assert page.evaluate(
    'document.documentElement.scrollWidth <= document.documentElement.clientWidth'
  )


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


def crops():
  """Return what the net is shown of boxes, by the transform that trained nets are used with."""
  cases = []
  boxes = [None, [10, 20, 110, 80.5], [-30, 5.25, 20, 300], [7, 9, 7, 9], [40, 12, 40, 90]]
  for convention, padding, crop_hw in itertools.product(
    affine.CONVENTIONS, (1.0, 1.25, 1.4), ((96, 64), (48, 96))
  ):
    crop = CropPerson(COCO, crop_hw, convention, augment.create('none'), padding)
    view = {'input': crop_hw, 'padding': padding, 'convention': convention}
    for box in boxes:
      image = np.zeros((120, 210, 3), np.uint8)
      matrix = crop.view(image, None if box is None else np.array(box))[1]
      case = {'view': view, 'box': box, 'picture': image.shape[:2], 'matrix': matrix.tolist()}
      cases.append(case)
  return cases


def followed():
  """Return poses and where a tracker looks for them next."""
  people = []
  for points in ([[10, 5], [30, 95], [20, 20.5]], [[5, 5], [9, 8]], [[50, 10], [50, 90]]):
    low, high = np.min(points, 0), np.max(points, 0)
    box = tracking_crops.at_least(tracking_crops.padded(np.concatenate([low, high])))
    people.append({'points': points, 'box': box.tolist()})
  return people


def scored():
  """Return keypoints' scores and what they make of a person, by every rule."""
  rows = [[0.5] * 9 + [0.05] * 8, [0.1, 0.2], [0.9, 0.25, 0.2, 0.0]]
  return [
    {'rule': rule, 'keypoints': row, 'person': float(rescore([1.0], [row])[0])}
    for rule, rescore in oks.RESCORINGS.items()
    for row in rows
  ]


def test_geometry_in_node(tmp_path):
  node = shutil.which('node')
  if not node:
    pytest.skip('no node to run JavaScript with')
  file = pathlib.Path(__file__).with_name('geometry.test.mjs')
  cases = tmp_path / 'cases.json'
  cases.write_text(json.dumps({'cases': crops(), 'people': followed(), 'scores': scored()}))
  run = subprocess.run(
    [node, '--test', str(file)],
    env={**os.environ, 'GEOMETRY_CASES': str(cases)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert run.returncode == 0, run.stdout + run.stderr
