import json
import os
import subprocess
import sys

import pytest

from posejax.process import huge_pages

MADVISE = 'always [madvise] never\n'
TUNABLE = 'glibc.malloc.hugetlb=1'


@pytest.mark.parametrize(
  ('before', 'libc', 'setting', 'after'),
  [
    (None, 'glibc 2.36', MADVISE, TUNABLE),
    ('', 'glibc 2.35', MADVISE, TUNABLE),
    ('glibc.malloc.arena_max=1', 'glibc 3.0', MADVISE, f'glibc.malloc.arena_max=1:{TUNABLE}'),
    ('glibc.malloc.hugetlb=0', 'glibc 2.36', MADVISE, None),  # turned off by the user
    (TUNABLE, 'glibc 2.36', MADVISE, None),  # started again already
    (None, 'glibc 2.34', MADVISE, None),  # does not know it
    (None, '', MADVISE, None),
    (None, 'glibc 2.36', '[always] madvise never\n', None),
    (None, 'glibc 2.36', 'always madvise [never]\n', None),
    (None, 'glibc 2.36', '', None),
  ],
)
def test_they_are_asked_for_where_that_helps(before, libc, setting, after):
  environment = {} if before is None else {'GLIBC_TUNABLES': before}
  assert huge_pages.with_huge_pages(environment, libc, setting) == after


def test_the_program_starts_again_as_it_was_called(tmp_path):
  script = tmp_path / 'script.py'
  script.write_text(
    'import json, os, sys\n'
    'from posejax.process import huge_pages\n'
    "huge_pages._libc = lambda: 'glibc 2.36'\n"
    f'huge_pages._kernel_setting = lambda: {MADVISE!r}\n'
    'huge_pages.use()\n'
    "print(json.dumps([os.getpid(), sys.argv[1:], sys.flags.utf8_mode, os.environ['GLIBC_TUNABLES']]))"
  )
  environment = {k: v for k, v in os.environ.items() if k != 'GLIBC_TUNABLES'}
  command = [sys.executable, '-X', 'utf8', str(script), '--a b', '']
  process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
  output, _ = process.communicate(timeout=60)
  assert json.loads(output) == [process.pid, ['--a b', ''], 1, TUNABLE]
