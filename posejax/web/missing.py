"""What is said where the web application's libraries are not installed."""

from posejax.errors import PosejaxError


def missing(error: ImportError) -> PosejaxError:
  """Return the error that tells how to install what could not be imported."""
  return PosejaxError(
    f"The web application needs {error.name or error}: pip install 'posejax[web]'."
  )
