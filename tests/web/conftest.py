"""Fixtures of the web application's tests; without its extra they are skipped."""

import contextlib

import pytest

for name in ('flask', 'uvicorn', 'prometheus_client'):
  pytest.importorskip(name, reason="needs pip install 'posejax[web]'")

from posejax.web.app import create_app  # noqa: E402


@pytest.fixture
def make_client():
  """Return a function from a net and limits to a Flask test client."""
  with contextlib.ExitStack() as stack:

    def make(predictor, **kwargs):
      app = create_app(predictor, **kwargs)
      stack.callback(app.extensions['posejax'].batcher.close, 5)
      return app.test_client()

    yield make
