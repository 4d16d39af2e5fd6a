"""The queue before the net: who is batched with whom, who is sent away, who is skipped."""

from concurrent.futures import CancelledError, ThreadPoolExecutor
import threading

import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer.results import Result
from posejax.web.batching import Batcher, BusyError
from posejax.web.limits import Limits
from tests.web import beacons


class Gate:
  """A net that waits to be let go on, and names the size of every picture."""

  labels = beacons.LABELS
  name = 'gate'
  threshold = 0.5

  def __init__(self):
    self.entered = threading.Semaphore(0)
    self.go = threading.Semaphore(0)
    self.batches = []

  def __call__(self, images):
    self.batches.append([image.shape[1] for image in images])
    self.entered.release()
    assert self.go.acquire(timeout=10)
    if any(image.shape[0] == 13 for image in images):
      raise PosejaxError('13 is unlucky')
    return [Result(image.shape[:2], ()) for image in images]


def picture(w, h=5):
  return np.zeros((h, w, 3), np.uint8)


@pytest.fixture
def gate():
  return Gate()


@pytest.fixture
def make(gate):
  made = []

  def make_batcher(**limits):
    made.append(Batcher(gate, Limits(**limits)))
    return made[-1]

  yield make_batcher
  for batcher in made:
    gate.go.release(99)
    batcher.close(5)


def test_what_arrives_while_the_net_works_becomes_one_batch(gate, make):
  batcher = make(batch=4)
  first = batcher.submit(picture(1))
  assert gate.entered.acquire(timeout=10)
  rest = [batcher.submit(picture(w)) for w in range(2, 9)]
  gate.go.release(9)
  assert first.result(10).image_hw == (5, 1)
  assert [f.result(10).image_hw[1] for f in rest] == [2, 3, 4, 5, 6, 7, 8]
  assert gate.batches == [[1], [2, 3, 4, 5], [6, 7, 8]]


def test_an_idle_net_waits_for_what_is_coming_and_no_longer(gate, make):
  batcher = make(batch_milliseconds=20_000)
  gate.go.release(9)
  alone = batcher.submit(picture(1))
  assert alone.result(10).image_hw == (5, 1)  # nothing was coming: not a moment's wait
  with batcher.coming(), batcher.coming():
    one = batcher.submit(picture(2))
    two = batcher.submit(picture(3))
    assert not one.done()
  assert (one.result(10), two.result(10)) == (Result((5, 2), ()), Result((5, 3), ()))
  assert gate.batches == [[1], [2, 3]]


def test_the_queue_is_bound_by_pictures_and_pixels(gate, make):
  batcher = make(waiting=2, waiting_pixels=1000)
  first = batcher.submit(picture(1))
  assert gate.entered.acquire(timeout=10)
  batcher.submit(picture(1)), batcher.submit(picture(1))
  with pytest.raises(BusyError):
    batcher.submit(picture(1))
  gate.go.release(9)
  assert first.result(10)

  batcher = make(waiting=9, waiting_pixels=1000)
  large = batcher.submit(picture(500))  # 2,500 pixels, but nothing else waits
  with pytest.raises(BusyError):
    batcher.submit(picture(1))
  assert large.result(10).image_hw == (5, 500)


def test_a_client_that_went_away_is_skipped(gate, make):
  batcher = make()
  first = batcher.submit(picture(1))
  assert gate.entered.acquire(timeout=10)
  gone = batcher.submit(picture(2), is_gone=lambda: True)
  cancelled = batcher.submit(picture(3))
  cancelled.cancel()
  there = batcher.submit(picture(4), is_gone=lambda: False)
  gate.go.release(9)
  assert first.result(10)
  assert there.result(10).image_hw == (5, 4)
  with pytest.raises(CancelledError):
    gone.result(10)
  assert gate.batches == [[1], [4]]


def test_a_bad_picture_fails_alone(gate, make):
  batcher = make()
  first = batcher.submit(picture(1))
  assert gate.entered.acquire(timeout=10)
  good, bad = batcher.submit(picture(2)), batcher.submit(picture(3, h=13))
  gate.go.release(9)
  assert first.result(10)
  assert good.result(10).image_hw == (5, 2)
  with pytest.raises(PosejaxError, match='unlucky'):
    bad.result(10)


def test_close_answers_what_waits(gate, make):
  batcher = make(batch=1)
  futures = [batcher.submit(picture(w)) for w in (1, 2, 3)]
  gate.go.release(9)
  batcher.close(10)
  assert [f.result(0).image_hw[1] for f in futures] == [1, 2, 3]
  with pytest.raises(BusyError):
    batcher.submit(picture(1))


def test_close_gives_up_what_waits_too_long(gate, make):
  batcher = make(batch=1)
  first = batcher.submit(picture(1))
  assert gate.entered.acquire(timeout=10)
  second = batcher.submit(picture(2))
  batcher.close(0.05)
  assert second.cancelled()
  gate.go.release(9)
  assert first.result(10)


def test_parallel_clients_share_calls(make_client):
  net = beacons.Beacons(seconds=0.05)
  client = make_client(net, limits=Limits(batch=8))
  data = beacons.jpeg(beacons.paint((120, 160), [beacons.figure(80, 10, 100)], radius=2))

  def ask(_):
    headers = {'Content-Type': 'image/jpeg'}
    return client.application.test_client().post('/api/v1/predict', data=data, headers=headers)

  with ThreadPoolExecutor(16) as threads:
    answers = list(threads.map(ask, range(32)))
  assert {a.status_code for a in answers} == {200}
  assert sum(net.batches) == 32
  assert len(net.batches) <= 12
  assert max(net.batches) <= 8
  assert net.threads == {'posejax-batches'}


def test_more_pictures_in_a_request_than_may_wait(make_client):
  client = make_client(beacons.Beacons(), limits=Limits(waiting=2, batch=1, pictures=9))
  data = beacons.jpeg(beacons.paint((120, 160), [beacons.figure(80, 10, 100)], radius=2))
  parts = b''.join(
    b'--b\r\nContent-Disposition: form-data; name="image"; filename="%d"\r\n\r\n' % i
    + data
    + b'\r\n'
    for i in range(9)
  )
  response = client.post(
    '/api/v1/predict', data=parts + b'--b--', content_type='multipart/form-data; boundary=b'
  )
  assert [r['name'] for r in response.json['results']] == [str(i) for i in range(9)]
  assert all(len(r['instances']) == 1 for r in response.json['results'])


def test_a_net_that_is_too_slow_gets_503(gate, make_client):
  client = make_client(gate, limits=Limits(answer_seconds=0.1))
  body = {'data': beacons.jpeg(picture(20, 20)), 'content_type': 'image/jpeg'}
  response = client.post('/api/v1/predict', **body)
  assert response.status_code == 503
  assert response.headers['Retry-After'] == '1'
  gate.go.release(9)
