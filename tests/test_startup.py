from jax._src import lru_cache

from posejax import startup


def test_a_compiled_program_that_was_cut_short_is_written_anew(tmp_path, monkeypatch):
  monkeypatch.setattr(lru_cache.LRUCache, 'put', lru_cache.LRUCache.put)  # to be put back
  startup._keep_programs_whole()
  (tmp_path / 'step-cache').write_bytes(b'who')
  cache = lru_cache.LRUCache(str(tmp_path), max_size=-1)
  cache.put('step', b'whole')
  assert cache.get('step') == b'whole'
  assert [path.name for path in tmp_path.iterdir()] == ['step-cache']
