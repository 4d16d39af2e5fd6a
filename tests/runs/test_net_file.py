import json

import numpy as np
import pytest

from posejax import weights
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.runs import net_file
from posejax.runs.saved_net import SavedNet
from posejax.weights import save
from tests import tiny


def a_net():
  rng = np.random.default_rng(0)
  variables = {
    'params': {'head': {'final': {'kernel': rng.normal(size=(2, 3, 4)).astype(np.float32)}}},
    'batch_stats': {'bn': {'var': np.array([1e-3, 7e4], np.float32)}},  # one too large for a half
  }
  config = tiny.config()
  config = Config.from_dict(
    {**config.to_dict(), 'model': {**config.model, 'init_from': '/home/me'}}
  )
  labels = LabelSpace(('one', 'two'))
  return SavedNet('mine', config, variables, labels, 0.25)


def test_what_was_written_is_read_back_in_half_precision(tmp_path):
  given, path = a_net(), str(tmp_path / 'mine.safetensors')
  assert net_file.write(path, given, 7) == (tmp_path / 'mine.safetensors').stat().st_size
  net = net_file.read(path)
  assert (net.name, net.threshold, net.labels) == ('mine, step 7', 0.25, given.labels)
  kernel = given.variables['params']['head']['final']['kernel']
  found = net.variables['params']['head']['final']['kernel']
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, kernel.astype(np.float16))
  np.testing.assert_array_equal(net.variables['batch_stats']['bn']['var'], np.float32([1e-3, 7e4]))
  for section in ('task', 'inputs', 'codec', 'loss'):
    assert getattr(net.config, section) == getattr(given.config, section)
  assert net.config.data == Config().data  # nothing of where it was trained


def test_the_file_says_nothing_of_the_machine_and_is_of_the_public_format(tmp_path):
  path = tmp_path / 'mine.safetensors'
  net_file.write(str(path), a_net(), 7)
  data = path.read_bytes()
  length = int.from_bytes(data[:8], 'little')
  header = json.loads(data[8 : 8 + length])
  assert '/home/me' not in json.dumps(header)
  entry = header['params/head/final/kernel']
  assert (entry['dtype'], entry['shape']) == ('F16', [2, 3, 4])
  begin, end = (8 + length + offset for offset in entry['data_offsets'])
  assert begin % 2 == 0
  first = np.frombuffer(data[begin:end], '<f2')[0]
  assert first == np.float16(a_net().variables['params']['head']['final']['kernel'].ravel()[0])


def test_a_file_of_something_else_is_refused(tmp_path):
  path = str(tmp_path / 'other.safetensors')
  save.save(path, {'a': np.zeros(3, np.float32)})
  assert weights.load(path)['a'].shape == (3,)
  with pytest.raises(PosejaxError, match='does not say how its net is built'):
    net_file.read(path)
  save.save(path, {'a': np.zeros(3, np.float32)}, {'posejax': '{"version": 99}'})
  with pytest.raises(PosejaxError, match='later version'):
    net_file.read(path)
  with pytest.raises(PosejaxError, match='Cannot open'):
    net_file.read(str(tmp_path / 'none.safetensors'))


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
  path = tmp_path / 'mine.safetensors'
  net_file.write(str(path), a_net(), 7)
  whole = path.read_bytes()
  for length in (0, 5, 8, 100, len(whole) - 200, len(whole) - 1):
    path.write_bytes(whole[:length])
    with pytest.raises(PosejaxError, match=r'mine\.safetensors'):
      net_file.read(str(path))
