"""The Flask application: routes, errors and what is counted."""

from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
import contextlib
import dataclasses
import hashlib
import io
import logging
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from posejax.errors import PosejaxError
from posejax.infer.frames.decoding import decode_picture
from posejax.infer.frames.headers import declared_size
from posejax.infer.results import Instance, Result, to_dict
from posejax.web import openapi, page, security, uploads
from posejax.web.batching import Batcher, BusyError, NetFailedError
from posejax.web.limits import Limits
from posejax.web.metrics import Metrics
from posejax.web.missing import missing
from posejax.web.predictor import Predicts

if TYPE_CHECKING:
  import flask

_LOG = logging.getLogger(__name__)
IS_GONE = 'posejax.is_gone'
"""In a request's environment: a function that says whether its client went away."""


@dataclasses.dataclass(frozen=True)
class Parts:
  """What an application holds on to, in `app.extensions['posejax']`."""

  batcher: Batcher
  metrics: Metrics


class _Decoding:
  """Bounds what is decoded at once: decoded pictures are far larger than encoded ones.

  More threads than cores gain nothing.
  """

  def __init__(self, limits: Limits):
    self._limits = limits
    self._changed = threading.Condition()
    self._pictures = self._pixels = 0

  @contextlib.contextmanager
  def of(self, pixels: int) -> Iterator[None]:
    """Wait until a picture of so many pixels may be decoded, which is done inside.

    Raises:
      BusyError: it may not for as long as an answer may take.
    """

    def may() -> bool:
      fits = self._pixels + pixels <= self._limits.waiting_pixels
      return not self._pictures or (fits and self._pictures < (os.cpu_count() or 1))

    with self._changed:
      if not self._changed.wait_for(may, self._limits.answer_seconds):
        raise BusyError
      self._pictures, self._pixels = self._pictures + 1, self._pixels + pixels
    try:
      yield
    finally:
      with self._changed:
        self._pictures, self._pixels = self._pictures - 1, self._pixels - pixels
        self._changed.notify_all()


class _Predictions:
  """Answers requests to predict: decodes, waits for the net, names each picture's error."""

  def __init__(self, predictor: Predicts, limits: Limits, parts: Parts):
    self._predictor = predictor
    self._limits = limits
    self._parts = parts
    self._decoding = _Decoding(limits)

  def answer(self, request: Any) -> tuple[dict[str, Any], int]:
    """Return the answer to a Flask request, and its status."""
    began = time.monotonic()
    threshold = uploads.threshold(request.args)
    with self._parts.batcher.coming():
      waiting = self._submit(uploads.read(request, self._limits), request.environ, began)
    entries = [{'name': name} | self._entry(future, threshold, began) for name, future in waiting]
    failed = sum('error' in entry for entry in entries)
    self._parts.metrics.pictures.labels('refused').inc(failed)
    self._parts.metrics.pictures.labels('predicted').inc(len(entries) - failed)
    milliseconds = round(1000 * (time.monotonic() - began), 1)
    body = {'model': self._predictor.name, 'milliseconds': milliseconds, 'results': entries}
    if failed < len(entries):
      return body, 200
    return body, 500 if any(isinstance(f.exception(), NetFailedError) for _, f in waiting) else 422

  def _submit(
    self, pictures: list[uploads.Upload], environ: dict[str, Any], began: float
  ) -> list[tuple[str, 'Future[Result]']]:
    waiting = []
    try:
      for picture in pictures:
        waiting.append((picture.name, self._submit_one(picture, environ, waiting, began)))
    except BusyError:
      for _, future in waiting:
        future.cancel()
      raise
    return waiting

  def _submit_one(self, picture, environ, before, began) -> 'Future[Result]':
    try:
      pixels = math.prod(declared_size(picture.data, picture.name))
      with self._decoding.of(min(pixels, self._limits.picture_pixels)):
        image = decode_picture(picture.data, picture.name, self._limits.picture_pixels)
    except PosejaxError as error:
      failed = Future()
      failed.set_exception(error)
      return failed
    is_gone = environ.get(IS_GONE, lambda: False)
    ahead = [future for _, future in before]
    while True:
      try:
        return self._parts.batcher.submit(image, is_gone)
      except BusyError:
        # One request may have more pictures than may wait: its own make room for each other.
        ahead = [future for future in ahead if not future.done()]
        if not ahead:
          raise
        left = began + self._limits.answer_seconds - time.monotonic()
        if not wait(ahead[:1], max(0.0, left)).done:
          raise

  def _entry(
    self, future: 'Future[Result]', threshold: float | None, began: float
  ) -> dict[str, Any]:
    try:
      result = self._wait(future, began)
    except PosejaxError as error:
      return {'error': str(error)}
    instances = result.instances[: self._limits.instances]
    if threshold is not None:
      instances = tuple(_at(threshold, instances))
    return to_dict(dataclasses.replace(result, instances=instances), self._predictor.labels)

  def _wait(self, future: 'Future[Result]', began: float) -> Result:
    left = began + self._limits.answer_seconds - time.monotonic()
    try:
      return future.result(max(0.0, left))
    except (TimeoutError, CancelledError) as error:
      future.cancel()
      raise BusyError from error


def _at(threshold: float, instances: Iterable[Instance]) -> Iterator[Instance]:
  """Yield instances with keypoints visible from a score on; without keypoints, those with that score."""
  for one in instances:
    if one.keypoints is not None:
      yield dataclasses.replace(one, visible=one.keypoint_scores >= threshold)
    elif one.score >= threshold:
      yield one


def create_app(
  predictor: Predicts, *, limits: Limits | None = None, names: Iterable[str] = ()
) -> 'flask.Flask':
  """Return the application around a net; a thread of its own starts to wait for pictures.

  Args:
    predictor: the net; called by that one thread only.
    limits: what clients may ask for.
    names: host names, beside this machine's own, that the API answers to without TLS.

  Raises:
    PosejaxError: the extra `web` is not installed.
  """
  try:
    import flask
    from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
  except ImportError as error:
    raise missing(error) from error

  limits = limits or Limits()
  metrics = Metrics()
  parts = Parts(Batcher(predictor, limits, metrics.batch_sizes.observe), metrics)
  predictions = _Predictions(predictor, limits, parts)
  is_known = security.host_names(names)
  document = openapi.document(limits)
  description = page.describe(predictor.labels, predictor.name, predictor.threshold) | {
    'limits': {
      'request_bytes': limits.request_bytes,
      'picture_pixels': limits.picture_pixels,
      'pictures': limits.pictures,
    }
  }

  class Request(flask.Request):
    def _get_file_stream(self, *args, **kwargs):
      return io.BytesIO()  # where Werkzeug would write large files to disk

  app = flask.Flask(__name__, static_folder=None)
  app.request_class = Request
  app.json.sort_keys = False
  app.config.update(
    MAX_CONTENT_LENGTH=limits.request_bytes,
    MAX_FORM_PARTS=limits.pictures + 16,  # so that a few too many get a sentence
  )
  app.extensions['posejax'] = parts

  def error(status: int, message: str) -> flask.Response:
    response = flask.jsonify(error=message)
    response.status_code = status
    if status == 503:
      response.headers['Retry-After'] = '1'
    return response

  @app.before_request
  def check_origin():
    request = flask.request
    if request.path.startswith('/api/'):
      reason = security.refusal(request.scheme, request.headers, is_known)
      if reason:
        return error(403, reason)
    return None

  @app.after_request
  def add_headers(response):
    for name, value in security.HEADERS.items():
      response.headers[name] = value
    response.headers.setdefault('Cache-Control', 'no-store')
    route = flask.request.url_rule.rule if flask.request.url_rule else 'none'
    metrics.requests.labels(route, str(response.status_code)).inc()
    return response

  @app.errorhandler(RequestEntityTooLarge)
  def too_large(exception):
    if (flask.request.content_length or 0) > limits.request_bytes:
      return error(
        413, f'A request has at most {limits.request_bytes:,} bytes; send fewer or smaller.'
      )
    return error(400, f'Send at most {limits.pictures} pictures at once, and nothing else.')

  @app.errorhandler(HTTPException)
  def http_error(exception):
    response = error(exception.code, exception.description)
    if getattr(exception, 'valid_methods', None):
      response.headers['Allow'] = ', '.join(sorted(exception.valid_methods))
    return response

  @app.errorhandler(uploads.UploadError)
  def upload_error(exception):
    return error(exception.status, str(exception))

  @app.errorhandler(BusyError)
  def busy(exception):
    return error(503, 'Too many pictures wait already; send this one again in a second.')

  @app.errorhandler(Exception)
  def failure(exception):
    _LOG.error('%s failed.', flask.request.path, exc_info=exception)
    return error(500, 'The server failed on this request; its log says how.')

  @app.post('/api/v1/predict')
  def predict():
    with metrics.in_flight.track_inprogress(), metrics.seconds.time():
      body, status = predictions.answer(flask.request)
    response = flask.jsonify(body)
    response.status_code = status
    return response

  @app.get('/api/v1/model')
  def model():
    return flask.jsonify(description)

  @app.get('/openapi.json')
  def api():
    return flask.jsonify(document)

  @app.get('/config.json')
  def config():
    return flask.jsonify(mode='server')

  @app.get('/healthz')
  def health():
    return flask.jsonify(status='ok')

  @app.get('/metrics')
  def counters():
    return flask.Response(metrics.text(), content_type=metrics.content_type)

  def serve_file(name: str):
    data, media_type = page.files()[name]
    etag = hashlib.sha256(data).hexdigest()[:16]

    def file():
      response = flask.Response(data, content_type=media_type)
      response.set_etag(etag)
      response.headers['Cache-Control'] = 'no-cache'
      return response.make_conditional(flask.request)

    return file

  for name in page.files():
    # One route a file, read beforehand: no path of a client is ever opened.
    app.add_url_rule(f'/{name}', f'file {name}', serve_file(name))
  app.add_url_rule('/', 'index', serve_file('index.html'))
  return app
