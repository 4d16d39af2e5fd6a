"""Thousands of bad inputs for a server: `python -m tests.web.fuzz --inputs=10000`.

Half of them are pictures with bytes cut, changed and put in; the other half are requests that
schemathesis makes up from the server's own OpenAPI document, whose answers it holds against that
document. Prints how many answers were 5xx and by how much the server's memory grew after a first
tenth, and ends with 1 where there was a 5xx or an answer that the document does not know.
Needs `pip install schemathesis`; Linux, for the memory.
"""

import argparse
import collections
import http.client
import pathlib
import random
import re
import subprocess
import sys
import tempfile
from urllib.parse import urlsplit

from tests.web import beacons, running


def resident_megabytes(process: subprocess.Popen) -> float:
  """Return how much memory a process has."""
  status = pathlib.Path(f'/proc/{process.pid}/status').read_text(encoding='ascii')
  return int(re.search(r'VmRSS:\s+(\d+) kB', status).group(1)) / 1024


def pictures() -> list[bytes]:
  """Return whole pictures of every kind."""
  image = beacons.paint((96, 128), [beacons.figure(64, 8, 80)], radius=2)
  return [beacons.jpeg(image, kind) for kind in ('.jpg', '.png', '.webp', '.bmp', '.tiff')]


def broken(rng: random.Random, seeds: list[bytes]) -> bytes:
  """Return a picture with something wrong, or nothing but noise."""
  data = bytearray(rng.choice(seeds))
  for _ in range(rng.randrange(1, 6)):
    start = rng.randrange(len(data) + 1)
    # Headers are short and are where the trouble is.
    start = min(start, rng.choice([len(data), 64]))
    kind = rng.randrange(4)
    if kind == 0:
      del data[start:]
    elif kind == 1:
      del data[start : start + rng.randrange(40)]
    elif kind == 2:
      data[start:start] = rng.randbytes(rng.randrange(40))
    else:
      data[start : start + 4] = rng.choice([b'\xff' * 4, b'\0' * 4, rng.randbytes(4)])
  return bytes(data)


def send_bytes(url: str, count: int, seed: int) -> collections.Counter:
  """Send broken pictures; return how many answers had which status."""
  rng, seeds, statuses = random.Random(seed), pictures(), collections.Counter()
  connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
  for _ in range(count):
    body = broken(rng, seeds)
    headers = {'Content-Type': rng.choice(['image/jpeg', 'image/png', 'image/x'])}
    connection.request('POST', '/api/v1/predict', body, headers)
    response = connection.getresponse()
    response.read()
    statuses[response.status] += 1
  connection.close()
  return statuses


def run_schemathesis(url: str, count: int, seed: int) -> int:
  """Let schemathesis ask; return its exit code."""
  program = pathlib.Path(sys.executable).with_name('schemathesis')
  command = [str(program), 'run', f'{url}/openapi.json', '--phases=coverage,fuzzing']
  command += [f'--max-examples={count}', f'--seed={seed}', '--mode=all', '--continue-on-failure']
  # It takes any bytes for a picture, for no schema can say what one is.
  command.append('--exclude-checks=positive_data_acceptance')
  with tempfile.TemporaryDirectory() as folder:  # for what it leaves lying about
    return subprocess.run(command, cwd=folder, check=False).returncode


def answers(url: str) -> collections.Counter:
  """Return how many answers the server counted by status."""
  connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
  connection.request('GET', '/metrics')
  text = connection.getresponse().read().decode()
  connection.close()
  counted = collections.Counter()
  for status, number in re.findall(r'^posejax_requests_total{.*status="(\d+)"} (\S+)', text, re.M):
    counted[status] += int(float(number))
  return counted


def main() -> int:
  """Send all of it and print what came back."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--inputs', type=int, default=10_000)
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  half = args.inputs // 2
  with running.server() as (process, url):
    send_bytes(url, half // 10, args.seed + 1)
    before = resident_megabytes(process)
    statuses = send_bytes(url, half - half // 10, args.seed)
    between = resident_megabytes(process)
    code = run_schemathesis(url, half, args.seed)
    after = resident_megabytes(process)
    counted = answers(url)
  failures = sum(number for status, number in counted.items() if status.startswith('5'))
  print(f'broken pictures by status: {dict(statuses)}')
  print(f'all answers by status: {dict(sorted(counted.items()))}')
  print(f'{counted.total()} answers, {failures} of them 5xx')
  print(f'memory: {before:.1f} MB, {between:.1f} after broken pictures, {after:.1f} at the end')
  return int(bool(failures or code))


if __name__ == '__main__':
  sys.exit(main())
