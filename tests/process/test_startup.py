import json

from jax._src import lru_cache

from posejax.process import startup
from tests import processes

# What the cache said of a program over two processes, and what the program computed.
OF_TWO = """
import json

import jax
import numpy as np

from posejax import devices
from posejax.process import startup

startup.begin({!r})
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
said = []
jax.monitoring.register_event_listener(lambda name, **_: said.append(name.rpartition('/')[2]))
mesh = devices.make_mesh()
places = dict(in_shardings=devices.sharded(mesh), out_shardings=devices.replicated(mesh))
program = jax.jit(lambda x: (x * x).sum(), **places)
program = program.lower(jax.ShapeDtypeStruct((4, 3), 'float32')).compile()
said = [name for name in said if name in ('cache_hits', 'cache_misses')]
mine = np.arange(6, dtype=np.float32).reshape(2, 3) + 6 * jax.process_index()
found = program(devices.put_batch({{'x': mine}}, mesh)['x'])
print(json.dumps([said, float(found.addressable_data(0))]))
"""


def test_a_compiled_program_that_was_cut_short_is_written_anew(tmp_path, monkeypatch):
  monkeypatch.setattr(lru_cache.LRUCache, 'put', lru_cache.LRUCache.put)  # to be put back
  startup._keep_programs_whole()
  (tmp_path / 'step-cache').write_bytes(b'who')
  cache = lru_cache.LRUCache(str(tmp_path), max_size=-1)
  cache.put('step', b'whole')
  assert cache.get('step') == b'whole'
  assert [path.name for path in tmp_path.iterdir()] == ['step-cache']


def test_each_process_on_cpus_finds_its_program_at_the_second_start(tmp_path):
  for expected in ('cache_misses', 'cache_hits'):
    found = processes.last_lines(OF_TWO.format(str(tmp_path)))
    assert [json.loads(line) for line in found] == [[[expected], 506.0]] * 2
