"""The web API's round trip: a 640x480 JPEG, by 1, 5 and 20 clients at once.

    python benchmarks/serving.py http://127.0.0.1:8000     # a server that `posejax serve` started
    python benchmarks/serving.py                           # one of its own, whose net takes --net-ms
    python benchmarks/serving.py --picture=person.jpg --seconds=20

Every client has a connection that stays open and sends the next picture when the answer to the last is
there, as the live view does. The table gives median and 95th percentile of the round trip, answers a
second, and how many pictures the net was given together on average. The server's own net only sleeps:
what it adds to `--net-ms` is the cost of HTTP, decoding, batching and JSON.
"""

import argparse
import http.client
import json
import multiprocessing
import pathlib
import re
import threading
import time
from urllib.parse import urlsplit

import numpy as np

PATH = '/api/v1/predict'


class Sleeper:
  """A net without a net: its person stands still, and a batch takes as long as one picture."""

  name = 'sleeper'
  threshold = 0.3

  def __init__(self, milliseconds: float):
    from posejax import labels, skeletons

    self.labels = labels.people(skeletons.COCO)
    self._seconds = milliseconds / 1000

  def __call__(self, images):
    from posejax.infer.results import Instance, Result

    time.sleep(self._seconds)
    keypoints = np.linspace(0, 400, 34, dtype=np.float32).reshape(17, 2)
    scores = np.full(17, 0.9, np.float32)
    box = np.array([0, 0, 400, 400], np.float32)
    person = Instance(box, 0.9, 0, keypoints, scores, scores > self.threshold)
    return [Result(image.shape[:2], (person,)) for image in images]


def run_server(milliseconds: float, port: multiprocessing.Value) -> None:
  from posejax.web.server import serve

  def tell(url: str) -> None:
    port.value = urlsplit(url).port

  serve(Sleeper(milliseconds), port=0, on_ready=tell)


def start_server(milliseconds: float) -> tuple[multiprocessing.Process, str]:
  context = multiprocessing.get_context('spawn')
  port = context.Value('i', 0)
  process = context.Process(target=run_server, args=(milliseconds, port), daemon=True)
  process.start()
  while not port.value:
    if not process.is_alive():
      raise SystemExit('The server did not start.')
    time.sleep(0.05)
  return process, f'http://127.0.0.1:{port.value}'


def drawn_picture() -> bytes:
  """Return a JPEG of about 50 KB, as a webcam's frames are."""
  import cv2

  rng = np.random.default_rng(0)
  coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
  image = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
  noise = rng.normal(0, 6, image.shape)
  image = np.clip(image + noise, 0, 255).astype(np.uint8)
  return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def connect(url: str) -> http.client.HTTPConnection:
  parts = urlsplit(url)
  kind = http.client.HTTPSConnection if parts.scheme == 'https' else http.client.HTTPConnection
  return kind(parts.netloc, timeout=60)


def post(connection: http.client.HTTPConnection, body: bytes) -> None:
  connection.request('POST', PATH, body, {'Content-Type': 'image/jpeg'})
  response = connection.getresponse()
  answer = json.loads(response.read())
  if response.status != 200:
    raise RuntimeError(f'{response.status}: {answer}')


def batches(url: str) -> tuple[float, float]:
  """Return how many pictures and batches the server's net was given until now."""
  connection = connect(url)
  connection.request('GET', '/metrics')
  text = connection.getresponse().read().decode()
  connection.close()
  return tuple(
    float(re.search(rf'^posejax_batch_size_{what} (\S+)', text, re.MULTILINE).group(1))
    for what in ('sum', 'count')
  )


def run_clients(url: str, body: bytes, clients: int, seconds: float) -> np.ndarray:
  """Return the round trips of all clients in milliseconds."""
  taken, errors, end = [], [], time.perf_counter() + seconds

  def ask() -> None:
    connection = connect(url)
    try:
      while time.perf_counter() < end:
        began = time.perf_counter()
        post(connection, body)
        taken.append(1000 * (time.perf_counter() - began))
    except Exception as error:
      errors.append(error)
    finally:
      connection.close()

  threads = [threading.Thread(target=ask) for _ in range(clients)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  if errors:
    raise SystemExit(f'{len(errors)} clients failed; the first: {errors[0]}')
  return np.array(taken)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('url', nargs='?')
  parser.add_argument('--clients', default='1,5,20')
  parser.add_argument('--seconds', type=float, default=10)
  parser.add_argument('--picture', help='a JPEG; one of 640x480 is drawn where unset')
  parser.add_argument('--net-ms', type=float, default=10)
  args = parser.parse_args()
  body = pathlib.Path(args.picture).read_bytes() if args.picture else drawn_picture()
  process, url = (None, args.url) if args.url else start_server(args.net_ms)
  print(f'{url}, {len(body) / 1024:.0f} KB a picture, {args.seconds:g} s each')
  print('| clients | median ms | p95 ms | answers/s | pictures a batch |')
  print('|---|---|---|---|---|')
  run_clients(url, body, 2, 1)  # compiled and warm
  for clients in map(int, args.clients.split(',')):
    before = batches(url)
    taken = run_clients(url, body, clients, args.seconds)
    pictures, number = np.subtract(batches(url), before)
    median, p95 = np.percentile(taken, [50, 95])
    rate = len(taken) / args.seconds
    print(f'| {clients} | {median:.1f} | {p95:.1f} | {rate:.1f} | {pictures / number:.1f} |')
  if process:
    process.terminate()
    process.join()


if __name__ == '__main__':
  main()
