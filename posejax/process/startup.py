"""What a process does before JAX computes anything."""

from collections.abc import Iterator
import contextlib
import gc
import os

from posejax import buckets, files
from posejax.process import distributed

DEFAULT_CACHE = os.environ.get('JAX_COMPILATION_CACHE_DIR') or os.path.join(
  os.path.expanduser('~'), '.cache', 'posejax', 'xla'
)
"""Where compiled programs are kept between runs."""


def begin(compilation_cache: str) -> None:
  """Join the other processes, if any, keep compiled programs, and refuse flags that compute wrongly.

  Args:
    compilation_cache: folder of compiled programs; none are kept where empty.

  Raises:
    PosejaxError: the environment names other processes wrongly, or XLA_FLAGS breaks the arithmetic.
  """
  distributed.initialize_from_environment()
  if compilation_cache:
    keep_programs(compilation_cache)
  if os.environ.get('XLA_FLAGS'):
    from posejax import doctor

    doctor.refuse_faults()


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
  """Let no garbage be collected while things are made that stay, nor ever look at them again.

  Importing JAX and building a net make some hundred thousand of them, and looking for rings among them
  again and again takes half a second.
  """
  gc.disable()
  try:
    yield
  finally:
    gc.freeze()
    gc.enable()


def keep_programs(folder: str) -> None:
  """Keep the programs that are compiled from here on in a folder, and take those that are there."""
  import jax

  jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
  _keep_programs_whole()
  _keep_programs_of_all()


def _keep_programs_whole() -> None:
  """Make JAX write compiled programs whole or not at all, and anew where one is damaged.

  JAX writes them in place: what a kill cut short is warned of and compiled again at every later start,
  and what is being written another process may read.
  """
  try:
    from jax._src import lru_cache
  except ImportError:  # a JAX that keeps them elsewhere
    return
  put_in_place = lru_cache.LRUCache.put

  def put(self, key: str, value: bytes) -> None:
    path = os.path.join(os.fspath(self.path), f'{key}-cache')
    if self.eviction_enabled or buckets.is_in_one(path):
      put_in_place(self, key, value)
    else:
      files.replace(path, value)

  lru_cache.LRUCache.put = put


def _keep_programs_of_all() -> None:
  """Make every process of a run on CPUs write its compiled programs, where JAX lets the first alone.

  A program's key has in it how a process sees the devices, which on CPUs is another way for each: none
  finds what the first wrote, and none writes what another does.
  """
  try:
    from jax._src import compilation_cache, compiler

    write = compiler._cache_write
  except (ImportError, AttributeError):  # a JAX that writes them elsewhere
    return

  def write_own(cache_key, compile_time_secs, module_name, backend, executable, host_callbacks):
    import jax

    least = jax.config.jax_persistent_cache_min_compile_time_secs
    if backend.platform != 'cpu' or jax.process_index() == 0:
      write(cache_key, compile_time_secs, module_name, backend, executable, host_callbacks)
    elif not host_callbacks and compile_time_secs >= least:
      seconds = int(compile_time_secs)
      compilation_cache.put_executable_and_time(
        cache_key, module_name, executable, backend, seconds
      )

  compiler._cache_write = write_own
