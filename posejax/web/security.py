"""Headers that tell a browser what the page may do, and who may ask the API."""

from collections.abc import Callable, Iterable, Mapping
import ipaddress
import socket
from urllib.parse import urlsplit

HEADERS = {
  # The page itself, index.html, says the same and for its static form allows WebAssembly.
  'Content-Security-Policy': (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
  ),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Permissions-Policy': 'camera=(self), microphone=(), geolocation=(), display-capture=()',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
}


def refusal(scheme: str, headers: Mapping[str, str], is_known: Callable[[str], bool]) -> str | None:
  """Return why a request to the API comes from where it must not, or None.

  A page of another site could send pictures to a server on the visitor's own machine or network, and
  by pointing its own name at that machine's address (DNS rebinding) even read the answers. Programs
  other than browsers send neither Origin nor Sec-Fetch-Site, and their Host is what was typed.

  Args:
    scheme: 'http' or 'https'; with a certificate for its name nobody can rebind.
    headers: of the request.
    is_known: whether a host name is this server's.
  """
  host = headers.get('Host', '')
  if scheme == 'http' and not is_known(_name(host)):
    return (
      f'This server does not answer to the name {_name(host)!r}; ask for it by its address or by a '
      'name it was started with.'
    )
  origin = headers.get('Origin')
  if headers.get('Sec-Fetch-Site', 'none') not in ('none', 'same-origin') or (
    origin is not None and _authority(origin) != host.lower()
  ):
    return "Only this server's own page may ask it from a browser."
  return None


def host_names(extra: Iterable[str]) -> Callable[[str], bool]:
  """Return a function that says whether a host name is this server's.

  Addresses are: a name that somebody else controls is what is feared. So are localhost, this
  machine's own name, with `.local` too, and those of `extra`.
  """
  own = socket.gethostname().lower()
  known = {'localhost', own, f'{own}.local', *(name.lower() for name in extra)}

  def is_known(name: str) -> bool:
    if name in known or name.endswith('.localhost'):
      return True
    try:
      ipaddress.ip_address(name)
    except ValueError:
      return False
    return True

  return is_known


def _name(host: str) -> str:
  """Return the name or address of a Host header, without port and brackets; '' for nonsense."""
  try:
    return urlsplit(f'//{host}').hostname or ''
  except ValueError:
    return ''


def _authority(origin: str) -> str:
  try:
    return urlsplit(origin).netloc.lower()
  except ValueError:
    return ''
