"""What is counted, for Prometheus.

`prometheus_client` and not text written by hand: what is escaped how, and how buckets add up, is its
business, and it needs nothing else.
"""

from posejax.web.missing import missing

# Seconds: from a compact net on a fast machine to a large one under load.
_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32)


class Metrics:
  """Counters of one application, in a registry of their own."""

  def __init__(self):
    try:
      import prometheus_client as prometheus
    except ImportError as error:
      raise missing(error) from error
    self._prometheus = prometheus
    self._registry = registry = prometheus.CollectorRegistry()
    self.requests = prometheus.Counter(
      'posejax_requests', 'Requests answered.', ['route', 'status'], registry=registry
    )
    self.in_flight = prometheus.Gauge(
      'posejax_requests_in_flight', 'Predictions being answered.', registry=registry
    )
    self.seconds = prometheus.Histogram(
      'posejax_request_seconds',
      'From a whole prediction request to its answer.',
      buckets=_SECONDS,
      registry=registry,
    )
    self.batch_sizes = prometheus.Histogram(
      'posejax_batch_size',
      'Pictures given to the net together.',
      buckets=_BATCHES,
      registry=registry,
    )
    self.pictures = prometheus.Counter(
      'posejax_pictures', 'Pictures by what became of them.', ['outcome'], registry=registry
    )

  @property
  def content_type(self) -> str:
    """The media type of `text`."""
    return self._prometheus.CONTENT_TYPE_LATEST

  def text(self) -> bytes:
    """Return all of it in Prometheus' text format."""
    return self._prometheus.generate_latest(self._registry)
