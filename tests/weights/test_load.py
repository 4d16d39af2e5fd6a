"""Reading foreign checkpoints: what PyTorch wrote, what is damaged, what attacks."""

import argparse
import json
import os
import pathlib
import pickle
import struct
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
import ml_dtypes
import numpy as np
import pytest

from posejax import weights
from posejax.errors import PosejaxError
from tests.weights import torch_bytes

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
ARRAYS = {
  'conv.weight': np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
  'bn.num_batches_tracked': np.array(5, np.int64),
}


def load_bytes(tmp_path, content: bytes) -> dict[str, np.ndarray]:
  path = tmp_path / 'file.pth'
  path.write_bytes(content)
  return weights.load(path)


def zip_form(arrays=ARRAYS) -> bytes:
  item, storages = torch_bytes.state_dict(arrays)
  return torch_bytes.zip_form(item, {k: a.tobytes() for k, a in storages.items()})


def legacy_form(arrays=ARRAYS) -> bytes:
  return torch_bytes.legacy_form(*torch_bytes.state_dict(arrays))


def safetensors_form(header: dict, data: bytes) -> bytes:
  text = json.dumps(header).encode()
  return struct.pack('<Q', len(text)) + text + data


SAFETENSORS = safetensors_form(
  {
    '__metadata__': {'format': 'pt'},
    'a': {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]},
    'b': {'dtype': 'BF16', 'shape': [2], 'data_offsets': [24, 28]},
    'c': {'dtype': 'I64', 'shape': [], 'data_offsets': [28, 36]},
  },
  np.arange(6, dtype='<f4').tobytes() + b'\x80\x3f\x00\xc0' + np.int64(9).tobytes(),
)


@pytest.mark.parametrize('name', ['checkpoint_zip.pth', 'checkpoint_legacy.pth'])
def test_reads_what_pytorch_wrote(name):
  tensors = weights.load(GOLDENS / name)
  with np.load(GOLDENS / 'checkpoint.npz') as expected:
    assert list(tensors) == list(expected)
    for key in expected:
      assert tensors[key].shape == expected[key].shape
      np.testing.assert_array_equal(tensors[key].astype(expected[key].dtype), expected[key])
      if key != 'bfloat16':
        assert tensors[key].dtype == expected[key].dtype
  assert tensors['bfloat16'].dtype == ml_dtypes.bfloat16
  assert np.shares_memory(tensors['base'], tensors['transposed'])


def test_reads_safetensors(tmp_path):
  tensors = load_bytes(tmp_path, SAFETENSORS)
  np.testing.assert_array_equal(tensors['a'], np.arange(6, dtype=np.float32).reshape(2, 3))
  np.testing.assert_array_equal(tensors['b'].astype(np.float32), [1.0, -2.0])
  assert tensors['b'].dtype == ml_dtypes.bfloat16
  assert tensors['c'] == 9
  assert list(tensors) == ['a', 'b', 'c']


@pytest.mark.parametrize('form', [zip_form, legacy_form])
@pytest.mark.parametrize(
  'wrap',
  [
    lambda state: state,
    lambda state: {'state_dict': state, 'epoch': 3},
    lambda state: {'model': state},
    lambda state: {'model': 'a name', 'state_dict': state},
    lambda state: {'model': {'state_dict': state}},
    lambda state: {f'module.{k}': v for k, v in state.items()},
    lambda state: {'state_dict': {f'module.model.{k}': v for k, v in state.items()}},
  ],
)
def test_unwraps(tmp_path, form, wrap):
  item, storages = torch_bytes.state_dict(ARRAYS)
  if form is zip_form:
    content = torch_bytes.zip_form(wrap(item), {k: a.tobytes() for k, a in storages.items()})
  else:
    content = torch_bytes.legacy_form(wrap(item), storages)
  tensors = load_bytes(tmp_path, content)
  assert list(tensors) == list(ARRAYS)
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(tensors[name], array)


PARAMETER = b'ctorch.nn.parameter\nParameter\n'


@pytest.mark.parametrize('form', [torch_bytes.zip_form, torch_bytes.legacy_form])
@pytest.mark.parametrize(
  'parameter',
  [
    # PyTorch 0.1 to 0.3 made it empty and filled it: data, gradient, hooks, requires_grad, volatile.
    lambda tensor: (
      PARAMETER
      + b')\x81('
      + tensor
      + b''.join(map(torch_bytes.value, (None, {}, True, False)))
      + b'tb'
    ),
    lambda tensor: PARAMETER + b'(' + tensor + torch_bytes.value(True) + b't\x81',
    lambda tensor: PARAMETER + b'(' + tensor + torch_bytes.value(True) + b'tR',
  ],
)
def test_reads_parameters_of_early_versions(tmp_path, form, parameter):
  item, storages = torch_bytes.state_dict(ARRAYS)
  item = {name: parameter(tensor) for name, tensor in item.items()}
  if form is torch_bytes.zip_form:
    storages = {k: a.tobytes() for k, a in storages.items()}
  tensors = load_bytes(tmp_path, form(item, storages))
  assert list(tensors) == list(ARRAYS)
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(tensors[name], array)


@pytest.mark.parametrize('state', [None, (), (1, 2, 3, 4, 5), {'tensor': 1}])
def test_a_parameter_without_a_tensor_is_none(tmp_path, state):
  """Nothing that a pickle fills it with becomes anything else."""
  item, storages = torch_bytes.state_dict(ARRAYS)
  odd = PARAMETER + b')\x81' + torch_bytes.value(state) + b'b'
  content = torch_bytes.zip_form({'x': odd, **item}, {k: a.tobytes() for k, a in storages.items()})
  assert list(load_bytes(tmp_path, content)) == list(ARRAYS)


def test_keeps_a_prefix_that_not_all_names_have(tmp_path):
  arrays = {'module.a': np.zeros(1, np.float32), 'b': np.ones(1, np.float32)}
  assert list(load_bytes(tmp_path, zip_form(arrays))) == ['module.a', 'b']


class Exploit:
  """Pickles as a call of `os.system`."""

  def __init__(self, marker):
    self.marker = marker

  def __reduce__(self):
    return os.system, (f'touch {self.marker}',)


def attacks(marker) -> dict[str, bytes]:
  """Return name that must be refused -> pickle that runs code when it is read."""
  touch = f'touch {marker}'
  return {
    'posix.system': pickle.dumps(Exploit(marker), 2),
    'posix.system ': pickle.dumps({'state_dict': Exploit(marker)}, 4),
    'posix.system  ': pickle.dumps([Exploit(marker)], 0),
    'os.system': b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
    'subprocess.Popen': b'\x80\x02csubprocess\nPopen\n' + torch_bytes.value((touch,)) + b'\x81.',
    'argparse.Namespace': pickle.dumps({'args': argparse.Namespace(lr=1)}, 2),
    'builtins.eval': torch_bytes.pickled(torch_bytes.call('builtins', 'eval', '1')),
    'builtins.getattr': torch_bytes.pickled(torch_bytes.call('builtins', 'getattr', 'a', 'b')),
    'torch.storage._load_from_bytes': torch_bytes.pickled(
      torch_bytes.call('torch.storage', '_load_from_bytes', 'x')
    ),
    'torch._utils._rebuild_tensor_v2.__globals__': (
      b'\x80\x04'
      + torch_bytes.value('torch._utils')
      + torch_bytes.value('_rebuild_tensor_v2.__globals__')
      + b'\x93.'
    ),
  }


@pytest.mark.parametrize('number', range(10))
@pytest.mark.parametrize('form', ['zip', 'legacy', 'bare'])
def test_refuses_code_by_name_and_runs_nothing(tmp_path, number, form):
  marker = tmp_path / 'marker'
  name, attack = list(attacks(marker).items())[number]
  if form == 'zip':
    with zipfile.ZipFile(tmp_path / 'file.pth', 'w') as archive:
      archive.writestr('archive/data.pkl', attack)
    content = (tmp_path / 'file.pth').read_bytes()
  elif form == 'legacy':
    magic = [torch_bytes.pickled(torch_bytes.LEGACY_MAGIC), torch_bytes.pickled(1001)]
    content = b''.join([*magic, torch_bytes.pickled({}), attack])
  else:
    content = attack if attack.startswith(b'\x80') else b'\x80\x02' + attack
  with pytest.raises(PosejaxError, match='asks for|makes an object') as error:
    load_bytes(tmp_path, content)
  assert repr(name.strip()) in str(error.value)
  assert not marker.exists()


def test_the_exploit_works_on_pickle_itself(tmp_path):
  """So that the test above shows something."""
  marker = tmp_path / 'marker'
  pickle.loads(attacks(marker)['posix.system'])
  assert marker.exists()


def test_a_pickle_cannot_change_what_it_is_handed(tmp_path):
  """BUILD sets attributes; on the function that builds tensors it would poison the next file."""
  item, storages = torch_bytes.state_dict(ARRAYS)
  function = b'ctorch._utils\n_rebuild_tensor_v2\n' + torch_bytes.value({'build': None}) + b'b'
  content = torch_bytes.zip_form(
    {'x': function, **item}, {k: a.tobytes() for k, a in storages.items()}
  )
  for _ in range(2):
    assert list(load_bytes(tmp_path, content)) == list(ARRAYS)


@pytest.mark.parametrize('form', [zip_form, legacy_form])
def test_a_truncated_file_is_an_error(tmp_path, form):
  whole = form()
  for length in [1, 4, 10, len(whole) // 3, len(whole) // 2, len(whole) - 1]:
    with pytest.raises(PosejaxError, match='cut off|damaged|not a checkpoint'):
      load_bytes(tmp_path, whole[:length])


@pytest.mark.parametrize('length', [9, 20, len(SAFETENSORS) - 1])
def test_truncated_safetensors_are_an_error(tmp_path, length):
  with pytest.raises(PosejaxError, match='cut off'):
    load_bytes(tmp_path, SAFETENSORS[:length])


@pytest.mark.parametrize(
  ('entry', 'message'),
  [
    ({'dtype': 'F32', 'shape': [3], 'data_offsets': [0, 8]}, 'takes 12 bytes'),
    ({'dtype': 'F8', 'shape': [8], 'data_offsets': [0, 8]}, "type 'F8'"),
    ({'dtype': 'F32', 'shape': [-2], 'data_offsets': [0, 8]}, 'no known way'),
    ({'dtype': 'F32', 'shape': [2], 'data_offsets': [-8, 0]}, 'no known way'),
    ({'dtype': 'F32', 'shape': [2]}, 'no known way'),
    ({'dtype': 'F32', 'shape': [10**30], 'data_offsets': [0, 4 * 10**30]}, 'cut off'),
    ([], 'no known way'),
  ],
)
def test_safetensors_with_a_wrong_header_are_an_error(tmp_path, entry, message):
  with pytest.raises(PosejaxError, match=message):
    load_bytes(tmp_path, safetensors_form({'a': entry}, bytes(8)))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'size': 7}, 'has 24 bytes and should hold 7'),
    ({'dtype': 'float64'}, 'has 24 bytes and should hold 6 numbers of 8'),
    ({'shape': (7,), 'strides': (1,)}, 'does not fit its storage of 6'),
    ({'offset': 1}, 'does not fit'),
    ({'offset': 2**70}, 'does not fit'),
    ({'shape': (2**40, 2**40), 'strides': (1, 1)}, 'does not fit'),
    ({'shape': (-1,), 'strides': (1,)}, 'impossible layout'),
    ({'shape': (2,), 'strides': (-1,), 'offset': 1}, 'impossible layout'),
    ({'shape': (2,), 'strides': (1, 1)}, 'does not fit'),
    ({'shape': (2.5,), 'strides': (1,)}, 'impossible layout'),
  ],
)
def test_a_tensor_outside_its_storage_is_an_error(tmp_path, changes, message):
  array = np.arange(6, dtype=np.float32)
  content = torch_bytes.zip_form(
    {'a': torch_bytes.tensor('0', array, **changes)}, {'0': array.tobytes()}
  )
  with pytest.raises(PosejaxError, match=message):
    load_bytes(tmp_path, content)


def test_a_damaged_storage_is_an_error(tmp_path):
  content = zip_form()
  at = content.index(ARRAYS['conv.weight'].tobytes())
  with pytest.raises(PosejaxError, match='Bad CRC-32'):
    load_bytes(tmp_path, content[: at + 9] + b'\xff' + content[at + 10 :])


def test_parts_missing_or_compressed_are_errors(tmp_path):
  item, storages = torch_bytes.state_dict(ARRAYS)
  with pytest.raises(PosejaxError, match="its part 'data/0' is missing"):
    load_bytes(tmp_path, torch_bytes.zip_form(item, {}))
  data = {k: a.tobytes() for k, a in storages.items()}
  with pytest.raises(PosejaxError, match='compressed'):
    load_bytes(tmp_path, torch_bytes.zip_form(item, data, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'', 'empty'),
    (b'<!DOCTYPE html><html>404</html>', 'not a checkpoint.*DOCTYPE'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98\n', 'not a checkpoint'),
    (b'\xff\xd8\xff\xe0 a picture', 'not a checkpoint'),
    (pickle.dumps({'a': 1}, 2), 'not one that torch.save wrote'),
    (torch_bytes.zip_form({'a': 1}, {}), 'no named tensors'),
    (torch_bytes.zip_form(torch_bytes.tensor('0', np.ones(2, np.float32)), {}), 'no named tensors'),
    (torch_bytes.legacy_form({'epoch': 3}, {}), 'no named tensors'),
    (b'\x80\x02' + b'l' * 40, 'damaged'),
  ],
)
def test_what_is_no_checkpoint_is_an_error(tmp_path, content, message):
  with pytest.raises(PosejaxError, match=message):
    load_bytes(tmp_path, content)


def test_a_zip_of_something_else_names_its_content(tmp_path):
  np.savez(tmp_path / 'file.npz', a=np.zeros(3))
  with pytest.raises(PosejaxError, match=r'without the one data\.pkl.*a\.npy'):
    weights.load(tmp_path / 'file.npz')


def test_missing_files_and_folders_are_errors(tmp_path):
  with pytest.raises(PosejaxError, match='No such file'):
    weights.load(tmp_path / 'nothing.pth')
  with pytest.raises(PosejaxError, match='directory'):
    weights.load(tmp_path)


def test_a_section_that_holds_itself_ends(tmp_path):
  loop = b'}q\x01' + torch_bytes.value('state_dict') + b'h\x01s'
  with pytest.raises(PosejaxError, match='no named tensors'):
    load_bytes(tmp_path, torch_bytes.zip_form(loop, {}))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), form=st.sampled_from([zip_form(), legacy_form(), SAFETENSORS]))
def test_damage_is_noticed_or_harmless(tmp_path_factory, data, form):
  """Any bytes changed: arrays or a PosejaxError, nothing else."""
  content = bytearray(form)
  for _ in range(data.draw(st.integers(1, 4))):
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
  try:
    tensors = load_bytes(tmp_path_factory.getbasetemp(), bytes(content))
  except PosejaxError:
    return
  assert all(isinstance(t, np.ndarray) for t in tensors.values())
