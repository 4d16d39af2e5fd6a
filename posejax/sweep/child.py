"""One run of a sweep in a process of its own: `python -m posejax.sweep.child WORKDIR [--cpus=0,1]`.

The config, in JSON, is the first line of standard input: the run itself writes it into its work directory
once its data were found good. The sweep holds that pipe open as long as it lives: when it ends, however,
the run stops as on SIGTERM, with a checkpoint. With `--config=FILE` the config comes from there, and the
run does not depend on the sweep. The exit code is `posejax.train.stop`'s.
"""

import time

_BEGAN = time.monotonic()  # before the slow imports: the times shown count from the process's start

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402

from posejax.errors import PosejaxError  # noqa: E402


def _stop_when_input_ends() -> None:
  while os.read(sys.stdin.fileno(), 1024):
    pass
  os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
  """Train; return the exit code."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workdir')
  parser.add_argument('--cpus', default='', help='cores to compute on; all where empty')
  parser.add_argument('--config', help='file; standard input where not given')
  arguments = parser.parse_args()
  if arguments.cpus:  # before any thread starts: threads inherit them
    os.sched_setaffinity(0, {int(cpu) for cpu in arguments.cpus.split(',')})
  if arguments.config:
    with open(arguments.config) as file:
      config = json.load(file)
  else:
    config = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_when_input_ends, daemon=True).start()

  from absl import logging

  from posejax.config import Config
  from posejax.process import startup

  logging.set_verbosity(logging.WARNING)  # Orbax tells of every phase of every save
  startup.begin(os.environ.get('JAX_COMPILATION_CACHE_DIR', startup.DEFAULT_CACHE))
  from posejax.train import stop
  from posejax.train.loop import train

  train(Config.from_dict(config), arguments.workdir, _BEGAN)
  return stop.exit_code(arguments.workdir)


if __name__ == '__main__':
  try:
    sys.exit(main())
  except PosejaxError as error:
    sys.exit(f'Error: {error}')
