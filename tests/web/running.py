"""A server in a process of its own: `python -m tests.web.running`."""

import argparse
import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]


@contextlib.contextmanager
def server(*arguments: str):
  """Start a server around `Beacons` at a free port; yield its process and address, then kill it."""
  command = [sys.executable, '-m', 'tests.web.running', *arguments]
  # A file: what decoders say of thousands of broken pictures fills a pipe, and the server then waits.
  with tempfile.NamedTemporaryFile('w') as errors:
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    process.stderr = open(errors.name, encoding='utf-8')  # noqa: SIM115
  try:
    line = process.stdout.readline()
    found = re.search(r'https?://\S+', line)
    assert found, f'{line} {process.stderr.read()}'
    yield process, found.group()
  finally:
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def main() -> None:
  """Serve until told to stop."""
  from posejax.web.limits import Limits
  from posejax.web.server import serve
  from tests.web.beacons import Beacons

  parser = argparse.ArgumentParser()
  parser.add_argument('--seconds', type=float, default=0)
  parser.add_argument('--drain', type=float, default=10)
  parser.add_argument('--requests', type=int, default=32)
  parser.add_argument('--receive', type=float, default=30)
  parser.add_argument('--cert')
  parser.add_argument('--key')
  args = parser.parse_args()
  limits = Limits(drain_seconds=args.drain, requests=args.requests, receive_seconds=args.receive)
  serve(Beacons(args.seconds), port=0, limits=limits, cert=args.cert, key=args.key)


if __name__ == '__main__':
  main()
