"""Files that are whole or not there."""

import os


def replace(path: str, content: bytes) -> None:
  """Write a file so that a kill, or a loss of power, leaves either the old one or the new one."""
  with open(path + '.tmp', 'wb') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  os.replace(path + '.tmp', path)
