"""Train on two hosts of a network of their own, and cut the line between them.

    python -m tests.launch.two_hosts            # Linux, as root; needs `ip` (Debian: iproute2)

Each host is a network namespace with a name and an address of its own and one process of main.py on the
CPU; a third one routes between them. The router forwards nothing for some seconds, which the run must
survive, and then nothing any more: both processes must then end by themselves, with an error that says
why and an exit code that is not 0, within the heartbeat's time-out and some seconds. With the line mended
the run goes on, and SIGTERM to one host stops both. Prints when what happened; ends with 1 where one of
that does not hold.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from posejax.train import stop

_LONG = 1200  # seconds within which a run starts, on a machine that does much else
_SLACK = 30  # seconds from a missed heartbeat to the end of a process
_NETS = ('10.231.77', '10.231.78')  # .1 is the host, .2 the router
_PORT = 1234


class NoNetworkError(Exception):
  """Why there can be no second host here, in a sentence."""


class Network:
  """Two hosts and a router between them; use as a context manager.

  Args:
    folder: for the hosts' own /etc/hosts.

  Raises:
    NoNetworkError: when entered: this machine or user cannot have one.
  """

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._hosts = [f'posejax-{os.getpid()}-host{i}' for i in range(2)]
    self._router = f'posejax-{os.getpid()}-router'

  def __enter__(self) -> 'Network':
    if shutil.which('ip') is None:
      raise NoNetworkError('`ip` is not installed (Debian: apt-get install iproute2)')
    try:
      self._create()
    except subprocess.CalledProcessError as error:
      self.__exit__()
      raise NoNetworkError(f'{" ".join(error.cmd)}: {error.stderr.strip()}') from error
    return self

  def __exit__(self, *exception):
    for space in (*self._hosts, self._router):  # a line goes with its ends
      subprocess.run(['ip', 'netns', 'delete', space], capture_output=True, check=False)

  def _create(self) -> None:
    for space in (*self._hosts, self._router):
      _ip('netns', 'add', space)
      _ip('-n', space, 'link', 'set', 'lo', 'up')
    for i, (host, net) in enumerate(zip(self._hosts, _NETS, strict=True)):
      near, far = f'pj{os.getpid()}h{i}', f'pj{os.getpid()}r{i}'  # 15 characters at most
      _ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far)
      for space, link, number in ((host, near, 1), (self._router, far, 2)):
        _ip('link', 'set', link, 'netns', space)
        _ip('-n', space, 'address', 'add', f'{net}.{number}/24', 'dev', link)
        _ip('-n', space, 'link', 'set', link, 'up')
      _ip('-n', host, 'route', 'add', 'default', 'via', f'{net}.2')
      (self._folder / f'hosts{i}').write_text(f'127.0.0.1 localhost\n{net}.1 host{i}\n')
    self.forward(True)

  def forward(self, on: bool) -> None:
    """Let the router pass everything on, or nothing, without a word to either host."""
    write = f'echo {int(on)} >/proc/sys/net/ipv4/ip_forward'
    _ip('netns', 'exec', self._router, 'sh', '-c', write)

  def start(self, i: int, command: list[str], environ: dict[str, str]) -> subprocess.Popen:
    """Start a command on a host."""
    script = f'hostname host{i} && mount --bind {self._folder}/hosts{i} /etc/hosts && exec "$@"'
    inside = ['unshare', '--uts', '--mount', 'sh', '-c', script, 'sh', *command]
    with open(self._folder / f'host{i}.log', 'a') as log:
      return subprocess.Popen(
        ['ip', 'netns', 'exec', self._hosts[i], *inside],
        env={**os.environ, **environ},
        stdout=log,
        stderr=subprocess.STDOUT,
      )


def _ip(*arguments: str) -> None:
  subprocess.run(['ip', *arguments], check=True, capture_output=True, text=True)


class Proof:
  """The run on both hosts, and what is shown of it."""

  def __init__(self, folder: pathlib.Path, network: Network, heartbeat: int):
    self._folder = folder
    self._network = network
    self._heartbeat = heartbeat
    self._began = time.monotonic()
    self._processes: list[subprocess.Popen] = []

  def show(self, seconds: float) -> None:
    """Go through it all."""
    try:
      self.start()
      self.wait_for_steps(3)
      self._network.forward(False)
      self.say(f'nothing passes between the hosts, for {seconds:g} s')
      time.sleep(seconds)
      self._network.forward(True)
      self.say(f'mended; the last row is of step {self.step()}')
      self.wait_for_steps(10)
      self.say(f'the run went on to step {self.step()}')
      self._network.forward(False)
      self.say('nothing passes any more')
      self.check_ends()
      self._network.forward(True)
      saved = self.saved()
      self.start()
      self.wait_for_steps(3)
      self.say(f'mended and started again, it went on from the checkpoint of step {saved}')
      assert f'Resuming {self.workdir} after step {saved}.' in self.log(0)
      self._processes[1].send_signal(signal.SIGTERM)
      codes = [process.wait(_LONG) for process in self._processes]
      self.say(f'SIGTERM to host 1: exit codes {codes}, checkpoint of step {self.saved()}')
      assert codes == [stop.EXIT_CODE] * 2
    finally:
      for process in self._processes:
        process.kill()
        process.wait()

  @property
  def workdir(self) -> str:
    return str(self._folder / 'run')

  def say(self, text: str) -> None:
    print(f'[{time.monotonic() - self._began:6.1f} s] {text}', flush=True)

  def step(self) -> int:
    rows = read_rows(self.workdir)
    return rows[-1]['step'] if rows else 0

  def saved(self) -> int:
    return checkpoint.available_steps(self.workdir)[-1]

  def log(self, i: int) -> str:
    return (self._folder / f'host{i}.log').read_text(errors='replace')

  def start(self) -> None:
    command = [sys.executable, 'main.py', '--config=configs/pose_densenet.py:smoke']
    command += [f'--workdir={self.workdir}', f'--compilation_cache={self._folder}/cache']
    command += ['--config.data.executor=threads', '--config.num_steps=100000']
    command += ['--config.log_every_steps=1', '--config.eval_every_steps=100000']
    command += ['--config.checkpoint_every_steps=5']
    environ = {
      'JAX_PLATFORMS': 'cpu',
      'JAX_COORDINATOR_ADDRESS': f'{_NETS[0]}.1:{_PORT}',
      'POSEJAX_NUM_PROCESSES': '2',
      'POSEJAX_HEARTBEAT_SECONDS': str(self._heartbeat),
      'POSEJAX_JOIN_SECONDS': str(_LONG),
    }
    self._processes = [
      self._network.start(i, command, {**environ, 'POSEJAX_PROCESS_ID': str(i)}) for i in range(2)
    ]

  def wait_for_steps(self, count: int) -> None:
    """Wait until so many more steps are logged."""
    goal, deadline = self.step() + count, time.monotonic() + _LONG
    while self.step() < goal:
      assert time.monotonic() < deadline, 'the run does not get on'
      codes = [process.poll() for process in self._processes]
      assert codes == [None, None], f'the run ended: exit codes {codes}, see {self._folder}'
      time.sleep(0.1)

  def check_ends(self) -> None:
    """Both processes end in time, and say why."""
    cut, left = time.monotonic(), [0, 1]
    limit = self._heartbeat + _SLACK
    while left:
      seconds = time.monotonic() - cut
      assert seconds < limit, f'hosts {left} have not ended in {limit} s'
      for i in list(left):
        if (code := self._processes[i].poll()) is not None:
          left.remove(i)
          said = self.errors(i)
          self.say(f'host {i} ended after {seconds:.1f} s with {code}:\n{said}')
          assert code != 0
          assert said, 'it did not say why'
      time.sleep(0.1)

  def errors(self, i: int) -> str:
    """Return what a host gave as the reason of its end: of posejax, or of JAX's coordination service."""
    words = re.compile(r'^(?! *@ ).*(Error|Terminating process|unhealthy)')  # no frames of a trace
    said = [line for line in self.log(i).splitlines() if words.search(line)]
    return '\n'.join(f'    {line[:500]}' for line in said)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--heartbeat', type=int, default=20, help='its time-out, in seconds')
  parser.add_argument('--seconds', type=float, default=5, help='of the cut that is survived')
  args = parser.parse_args()
  folder = pathlib.Path(tempfile.mkdtemp(prefix='posejax-hosts-'))
  print(f'In {folder}; heartbeat time-out {args.heartbeat} s')
  try:
    with Network(folder) as network:
      Proof(folder, network, args.heartbeat).show(args.seconds)
  except NoNetworkError as error:
    sys.exit(f'No second host here: {error}')


if __name__ == '__main__':
  main()
