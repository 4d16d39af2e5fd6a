"""The one import of PyAV, which brings FFmpeg's libraries for films."""

from types import ModuleType

from posejax.errors import PosejaxError


def load_av() -> ModuleType:
  """Return the module `av`.

  Raises:
    PosejaxError: it is not installed.
  """
  try:
    import av
    import av.filter
  except ImportError as error:
    raise PosejaxError(
      f"Films need PyAV, which cannot be imported ({error}): pip install 'posejax[video]'."
    ) from error
  return av
