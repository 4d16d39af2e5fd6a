"""The pictures and options of one request to predict."""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

from posejax.errors import PosejaxError, nearest
from posejax.web.limits import Limits

_MAX_NAME = 255


@dataclasses.dataclass(frozen=True)
class Upload:
  """One picture as it was sent: a name to show, never to open, and its bytes."""

  name: str
  data: bytes


class UploadError(PosejaxError):
  """A request that does not say what to predict; `status` is its HTTP status."""

  def __init__(self, status: int, message: str):
    super().__init__(message)
    self.status = status


def read(request: Any, limits: Limits) -> list[Upload]:
  """Return the pictures of a Flask request: files called `image`, or the body itself.

  Raises:
    UploadError: there are none, too many, or something else.
  """
  if request.mimetype.startswith('image/'):
    return [Upload('image', request.get_data(cache=False))]
  if request.mimetype != 'multipart/form-data':
    raise UploadError(
      415,
      f'Content-Type {request.mimetype or "(none)"!r} is not taken; send multipart/form-data with '
      "files called 'image', or a picture's bytes as image/jpeg, image/png or the like.",
    )
  # A part may even come without a name, which is None then.
  other = [str(name) for name in (*request.files, *request.form) if name != 'image']
  if other or 'image' in request.form:
    raise UploadError(
      400,
      f"Send every picture as a file called 'image'; got the field {(other or ['image'])[0]!r}.",
    )
  files = request.files.getlist('image')
  if not files:
    raise UploadError(400, "There is no picture; send at least one file called 'image'.")
  if len(files) > limits.pictures:
    raise UploadError(
      400, f'{len(files)} pictures at once are more than {limits.pictures}; send them in turns.'
    )
  return [Upload((file.filename or 'image')[:_MAX_NAME], file.read()) for file in files]


def threshold(query: Mapping[str, str]) -> float | None:
  """Return the query's `threshold`, a confidence in [0, 1]; None where it has none.

  Raises:
    UploadError: it is no such number, or the query has other options.
  """
  for name in query:
    if name != 'threshold':
      raise UploadError(400, f'There is no option {name[:99]!r}.' + nearest(name, ['threshold']))
  text = query.get('threshold')
  if text is None:
    return None
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  if not 0 <= value <= 1:
    raise UploadError(400, f'threshold must be a number from 0 to 1, got {text[:99]!r}.')
  return value
