"""Frames a second of a run's net in a headless Chromium, by `posejax export --format=web`.

    npm install onnxruntime-web
    taskset -c 1 python benchmarks/browser.py --workdir=runs/pose_densenet

First the live view with a film as camera, which gives 30 frames/s at the most: what the page shows as
frames/s and latency. Then one of its frames again and again, as fast as the page takes it.
"""

import argparse
import contextlib
import functools
import http.server
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import cv2

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
FRAMES = 150
KEEP = """(() => {
  const size = { width: 640, height: 480 };
  const frame = (window.kept = Object.assign(document.createElement('canvas'), size));
  frame.getContext('2d').drawImage(document.getElementById('video'), 0, 0, 640, 480);
  Object.assign(frame, { videoWidth: 640, videoHeight: 480 }); // as a video tells its size
})()"""
AGAIN = """(async () => {
  const config = await (await fetch('config.json')).json();
  const { load } = await import('./model-onnx.js');
  const model = await load(config);
  const frame = window.kept;
  for (let i = 0; i < 10; i++) await model.predictFrame(frame);
  const began = performance.now();
  for (let i = 0; i < %d; i++) await model.predictFrame(frame);
  return %d / (performance.now() - began) * 1000;
})()"""


class Quiet(http.server.SimpleHTTPRequestHandler):
  """A static host that says nothing."""

  def log_message(self, *_):
    pass


@contextlib.contextmanager
def hosting(folder):
  handler = functools.partial(Quiet, directory=folder)
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()


def processor_seconds():
  """Return what the processes that this one has started, and theirs, have used so far."""
  rows = {}
  for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
    with contextlib.suppress(OSError):
      fields = path.read_text(encoding='ascii').rpartition(')')[2].split()
      rows[int(path.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
  own, ticks = {os.getpid()}, 0
  while grown := {n for n, (parent, _) in rows.items() if parent in own} - own:
    own |= grown
    ticks += sum(rows[number][1] for number in grown)
  return ticks / os.sysconf('SC_CLK_TCK')


def write_camera(path):
  """Write a film of JPEGs, which Chromium plays in a circle as its camera: one person walks."""
  from posejax.data.synthetic.film import DrawnFilm

  frames = []
  for frame in DrawnFilm(5, 60, (240, 160), people=1):
    person = cv2.resize(frame['image'][..., ::-1], (320, 480))
    wide = cv2.copyMakeBorder(person, 0, 0, 160, 160, cv2.BORDER_REPLICATE)
    frames.append(cv2.imencode('.jpg', wide)[1].tobytes())
  pathlib.Path(path).write_bytes(b''.join(frames + frames[::-1]))


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', required=True)
  parser.add_argument('--seconds', type=float, default=15, help='of the live view')
  args = parser.parse_args()
  from tests.web import browser, looking

  with tempfile.TemporaryDirectory() as folder:
    camera, site = os.path.join(folder, 'camera.mjpeg'), os.path.join(folder, 'site')
    write_camera(camera)
    words = [sys.executable, '-m', 'posejax.cli', 'export', '--format=web', f'--out={site}']
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    subprocess.run([*words, f'--workdir={args.workdir}'], check=True, env=environment)
    flags = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']
    with (
      hosting(site) as url,
      browser.Browser(*flags, f'--use-file-for-fake-video-capture={camera}') as chromium,
    ):
      page = chromium.open(url)
      page.wait_for(looking.READY)
      looking.start_camera(page)
      time.sleep(args.seconds)
      shown = page.text('#fps'), page.text('#latency')
      page.evaluate(KEEP)
      page.click('#start')  # off: nothing else is computed
      before = processor_seconds()
      rate = page.evaluate(AGAIN % (FRAMES, FRAMES))
      spent = (processor_seconds() - before) / FRAMES
  cores = len(os.sched_getaffinity(0))
  print(
    f'{cores} core(s): live {shown[0]} frames/s, {shown[1]}; one frame again and again: ', end=''
  )
  print(f'{rate:.0f} frames/s, {1000 * spent:.1f} ms of processor time each')


if __name__ == '__main__':
  main()
