import threading
import time

import pytest

from posejax.infer.frames import channel


def test_ahead_keeps_order_and_its_depth():
  made = []

  def numbers():
    for i in range(100):
      made.append(i)
      yield i

  ahead = channel.Ahead(numbers(), 3, 'test')
  assert next(ahead) == 0
  time.sleep(0.05)
  assert len(made) <= 1 + 3 + 1  # given, waiting, and one at the door
  assert list(ahead) == list(range(1, 100))
  ahead.close()


def test_an_error_comes_after_what_was_before_it():
  def numbers():
    yield from range(3)
    raise KeyError('broken')

  ahead = channel.Ahead(numbers(), 8, 'test')
  assert [next(ahead) for _ in range(3)] == [0, 1, 2]
  with pytest.raises(KeyError, match='broken'):
    next(ahead)
  with pytest.raises(StopIteration):
    next(ahead)


def test_closing_runs_the_generator_s_end():
  ended = threading.Event()

  def numbers():
    try:
      while True:
        yield 0
    finally:
      ended.set()

  ahead = channel.Ahead(numbers(), 2, 'test')
  next(ahead)
  ahead.close()
  assert ended.is_set()
  assert list(ahead) == []


def test_closing_before_the_start_starts_nothing():
  before = threading.active_count()
  ahead = channel.Ahead((i for i in range(3)), 2, 'test')
  ahead.close()
  assert list(ahead) == []
  assert threading.active_count() == before


def test_behind_consumes_all_in_order():
  taken = []
  behind = channel.Behind(taken.append, 2, 'test')
  for i in range(50):
    behind.put(i)
  behind.finish()
  assert taken == list(range(50))


def test_behind_tells_its_error_to_the_giver():
  def consume(item):
    if item == 3:
      raise KeyError('broken')

  behind = channel.Behind(consume, 2, 'test')
  with pytest.raises(KeyError, match='broken'):
    for i in range(1000):
      behind.put(i)
  behind = channel.Behind(consume, 8, 'test')
  behind.put(3)
  with pytest.raises(KeyError, match='broken'):
    behind.finish()


def test_abandoning_waits_for_nothing_that_is_left():
  began = threading.Event()
  taken = []

  def consume(item):
    began.set()
    time.sleep(0.05)
    taken.append(item)

  behind = channel.Behind(consume, 100, 'test')
  for i in range(100):
    behind.put(i)
  began.wait()
  behind.abandon()
  assert len(taken) < 10
