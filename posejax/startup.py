"""What a process does before JAX computes anything."""

import os

from posejax import distributed

DEFAULT_CACHE = os.path.join(os.path.expanduser('~'), '.cache', 'posejax', 'xla')
"""Where compiled programs are kept between runs."""


def begin(compilation_cache: str) -> None:
  """Join the other processes, if any, keep compiled programs, and refuse flags that compute wrongly.

  Args:
    compilation_cache: folder of compiled programs; none are kept where empty.

  Raises:
    PosejaxError: the environment names other processes wrongly, or XLA_FLAGS breaks the arithmetic.
  """
  import jax

  distributed.initialize_from_environment()
  if compilation_cache:
    jax.config.update('jax_compilation_cache_dir', compilation_cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
  if os.environ.get('XLA_FLAGS'):
    from posejax import doctor

    doctor.refuse_faults()
