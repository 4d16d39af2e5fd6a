"""A Slurm cluster of one node on this machine: its daemons, and what is asked of them."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

_DAEMONS = ('munged', 'slurmctld', 'slurmd')
_COMMANDS = ('sbatch', 'srun', 'scontrol', 'scancel', 'squeue', 'sinfo')
_PATH = os.pathsep.join([os.environ['PATH'], '/usr/sbin', '/usr/local/sbin'])
_START_SECONDS = 15
# Nothing is accounted and no task is bound or confined: none of that is asked of a cluster here.
_CONFIG = """\
ClusterName=posejax
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=60
MinJobAge=600
NodeName={host} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 GraceTime=60 MaxTime=UNLIMITED State=UP
PartitionName=high Nodes={host} PriorityTier=2 PreemptMode=OFF MaxTime=UNLIMITED State=UP
"""


class NoSlurmError(Exception):
  """Why there is no Slurm here, in a sentence."""


class SlurmNode:
  """A cluster of this machine alone. Partition `high` preempts jobs of `low`, the default.

  Attributes:
    environ: variables with which its commands reach it.
  """

  def __init__(self, folder: pathlib.Path):
    self.environ = {**os.environ, 'PATH': _PATH, 'SLURM_CONF': str(folder / 'slurm.conf')}

  def call(self, *command: str, cwd: str | None = None, check: bool = True) -> str:
    """Run one of Slurm's commands; return what it printed."""
    done = subprocess.run(
      command, env=self.environ, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    if check and done.returncode:
      raise AssertionError(f'{" ".join(command)} ended with {done.returncode}: {done.stderr}')
    return done.stdout

  def job(self, number: str) -> dict[str, str]:
    """Return what Slurm knows about a job."""
    return dict(re.findall(r'(\S+?)=(\S*)', self.call('scontrol', 'show', 'job', number)))

  def submit(self, *arguments: str, cwd: str | None = None) -> str:
    """Submit a job by sbatch; return its number."""
    return self.call('sbatch', '--parsable', *arguments, cwd=cwd).strip()

  def preempt(self) -> None:
    """Submit a job that takes the node from all of partition `low`."""
    self.submit('--partition=high', '--exclusive', '--output=/dev/null', '--wrap=true')

  def restart(self, number: str, seconds: float) -> None:
    """Wait until a job was requeued, and spare it the two minutes that Slurm lets it wait then.

    But not all: a node refuses a job that comes back within the second in which it was killed there.
    """
    self.wait(number, seconds, 'PENDING')
    time.sleep(2)
    self.call('scontrol', 'update', f'JobId={number}', 'StartTime=now')

  def wait(self, number: str, seconds: float, *states: str) -> dict[str, str]:
    """Wait until a job is in one of `states`; return what Slurm then knows about it."""
    deadline = time.monotonic() + seconds
    while (job := self.job(number))['JobState'] not in states:
      if time.monotonic() > deadline:
        raise AssertionError(f'job {number} is not {" or ".join(states)} in {seconds} s: {job}')
      time.sleep(0.1)
    return job


@contextlib.contextmanager
def running(folder: pathlib.Path, cpus: int = 2) -> Iterator[SlurmNode]:
  """Start Slurm's daemons, as this user; end them and all their jobs when left.

  Args:
    folder: for configuration, key, state and logs.
    cpus: how many tasks of one core the node takes, however many cores it has.

  Raises:
    NoSlurmError: a program is missing, or a daemon did not start; its last line says why.
  """
  missing = [name for name in (*_DAEMONS, *_COMMANDS) if not shutil.which(name, path=_PATH)]
  if missing:
    raise NoSlurmError(f'not installed: {", ".join(missing)} (Debian: apt-get install slurm-wlm)')
  node = SlurmNode(folder)
  for name in ('state', 'spool'):
    (folder / name).mkdir()
  key = folder / 'munge.key'
  key.write_bytes(os.urandom(128))
  key.chmod(0o600)
  host = socket.gethostname().partition('.')[0]
  values = {'host': host, 'folder': folder, 'cpus': cpus, 'user': _user()}
  (folder / 'slurm.conf').write_text(
    _CONFIG.format(controller=_free_port(), node=_free_port(), **values)
  )
  munge = [
    f'--{name}={folder}/munge.{name}' for name in ('socket', 'pid-file', 'log-file', 'seed-file')
  ]
  commands = {
    'munged': ['munged', '--foreground', '--force', f'--key-file={key}', *munge],
    'slurmctld': ['slurmctld', '-D', '-c'],
    'slurmd': ['slurmd', '-D', '-N', host],
  }
  daemons: list[subprocess.Popen] = []
  try:
    for name, command in commands.items():
      daemons.append(_start(node, folder / f'{name}.txt', command))
      if name == 'munged':
        _wait_for(daemons, folder, (folder / 'munge.socket').exists)
    _wait_for(daemons, folder, lambda: 'idle' in node.call('sinfo', '-h', '-o', '%T', check=False))
    yield node
  finally:
    _end(node, daemons, folder / 'spool')


def _start(node: SlurmNode, log: pathlib.Path, command: list[str]) -> subprocess.Popen:
  program = shutil.which(command[0], path=_PATH)
  with open(log, 'w') as out:
    return subprocess.Popen(
      [program, *command[1:]], env=node.environ, stdout=out, stderr=subprocess.STDOUT
    )


def _wait_for(daemons, folder, condition) -> None:
  deadline = time.monotonic() + _START_SECONDS
  while not condition():
    dead = [daemon for daemon in daemons if daemon.poll() is not None]
    if dead or time.monotonic() > deadline:
      name = pathlib.Path((dead or daemons)[-1].args[0]).name
      lines = (folder / f'{name}.txt').read_text(errors='replace').splitlines()
      raise NoSlurmError(f'{name} did not start: {lines[-1] if lines else "without a word"}')
    time.sleep(0.1)


def _end(node: SlurmNode, daemons: list[subprocess.Popen], spool: pathlib.Path) -> None:
  """End jobs before their node: a step's own daemon outlives slurmd, and would wait for it."""
  if len(daemons) == len(_DAEMONS):
    node.call('scancel', '--signal=KILL', '--full', f'--user={_user()}', check=False)
    node.call('scancel', f'--user={_user()}', check=False)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
      # A step's daemon has a socket in there, <node>_<job>.<step>.
      if not (node.call('squeue', '-h', check=False).strip() or any(spool.glob('*_[0-9]*.*'))):
        break
      time.sleep(0.2)
  for daemon in reversed(daemons):
    daemon.terminate()
  for daemon in daemons:
    try:
      daemon.wait(timeout=_START_SECONDS)
    except subprocess.TimeoutExpired:
      daemon.kill()
      daemon.wait()


def _user() -> str:
  import pwd

  return pwd.getpwuid(os.getuid()).pw_name


def _free_port() -> int:
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    return free.getsockname()[1]
