"""The one exception type that posejax raises for what a user can mend."""

from collections.abc import Iterable
import difflib
import errno


class PosejaxError(Exception):
  """A problem a user can mend: names the thing, what was expected, and the remedy.

  `main.py` and the `posejax` command print its message without a traceback.
  """


def is_disk_full(error: BaseException) -> bool:
  """Return whether an error says that the disk, or a quota on it, is full."""
  if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
    return True
  # Libraries wrap what the system said; its words survive.
  return 'No space left on device' in str(error) or 'Disk quota exceeded' in str(error)


def nearest(name: str, known: Iterable[str]) -> str:
  """Return ` Did you mean 'x'?` for the name closest to `name`, or the list of known names."""
  known = [str(k) for k in known]
  close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
  if close:
    return f' Did you mean {close[0]!r}?'
  return f' Known: {", ".join(sorted(known))}.' if known else ''
