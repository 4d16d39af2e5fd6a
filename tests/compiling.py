"""Programs that run once: compiled in half the time, or a tenth where random numbers are drawn.

What they compute is the same but for rounding, and takes longer.
"""

import functools

import jax

OPTIONS = {'xla_backend_optimization_level': 0}
jit = functools.partial(jax.jit, compiler_options=OPTIONS)
