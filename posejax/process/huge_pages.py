"""Huge pages for what XLA allocates on the CPU.

A step's buffers are hundreds of megabytes that are new to the process, and a page of 4 KiB costs a fault
when it is first touched: a fifth of a training step on the CPU. Linux gives out pages of 2 MiB instead
where a program asks for them, and glibc asks where its tunable is set when the process starts.
"""

from collections.abc import Mapping
import os
import sys

_TUNABLE = 'glibc.malloc.hugetlb'
_FIRST_GLIBC = (2, 35)
_KERNEL_SETTING = '/sys/kernel/mm/transparent_hugepage/enabled'


def use() -> None:
  """Start this program again with huge pages, in the same process; return where nothing is gained.

  To be called before anything else is done. `GLIBC_TUNABLES=glibc.malloc.hugetlb=0` turns it off.
  """
  tunables = with_huge_pages(os.environ, _libc(), _kernel_setting())
  if tunables is not None:
    os.environ['GLIBC_TUNABLES'] = tunables
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def with_huge_pages(environment: Mapping[str, str], libc: str, setting: str) -> str | None:
  """Return what GLIBC_TUNABLES should be, or None where it can stay as it is.

  Args:
    environment: of the process; what it says about the tunable holds.
    libc: name and version, `glibc 2.36`.
    setting: the kernel's, the one in effect in brackets. Only where it is `madvise` is there something
      to ask for.
  """
  name, _, version = libc.partition(' ')
  before = environment.get('GLIBC_TUNABLES', '')
  if name != 'glibc' or '[madvise]' not in setting or _TUNABLE in before:
    return None
  if tuple(int(part) for part in version.split('.')[:2]) < _FIRST_GLIBC:
    return None
  return ':'.join(filter(None, [before, f'{_TUNABLE}=1']))


def _libc() -> str:
  try:
    return os.confstr('CS_GNU_LIBC_VERSION') or ''
  except (AttributeError, OSError, ValueError):  # another system, or another libc
    return ''


def _kernel_setting() -> str:
  try:
    with open(_KERNEL_SETTING) as file:
      return file.read()
  except OSError:
    return ''
