"""MATLAB files, with errors that say what to do."""

import os
from typing import Any

from posejax.errors import PosejaxError


def load(path: str, variable: str, **kwargs) -> Any:
  """Return a variable of a .mat file; `kwargs` are scipy's.

  Raises:
    PosejaxError: the file is missing, of version 7.3, no MATLAB file, or lacks the variable.
  """
  from scipy import io  # half a second, and needed to prepare only

  if not os.path.isfile(path):
    raise PosejaxError(f'{path} is missing.')
  try:
    content = io.loadmat(path, **kwargs)
  except NotImplementedError:
    raise PosejaxError(
      f'{path} is a MATLAB 7.3 file, which is HDF5 inside; the official one is version 5. Fetch it '
      "again, or save it in MATLAB with save(name, variables, '-v7')."
    ) from None
  except (io.matlab.MatReadError, ValueError, TypeError, EOFError, OSError) as error:
    raise PosejaxError(f'{path} is not a MATLAB file ({error}). Fetch it again.') from None
  if variable not in content:
    names = sorted(name for name in content if not name.startswith('__'))
    raise PosejaxError(f'{path} has no variable {variable!r} (it has {names}). Is it another file?')
  return content[variable]
