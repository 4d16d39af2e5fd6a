"""TensorFlow.js weights: what was written is read, and what is damaged or attacks is refused."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.weights.readers import tfjs

FLOATS = np.arange(6, dtype='<f4').reshape(2, 3) - 2.5
INTS = np.array([-1, 2**30], '<i4')


def write(folder, groups, shards, name='model.json'):
  """Write a model: `groups` of its manifest, and file name -> content."""
  for shard, content in shards.items():
    (folder / shard).parent.mkdir(parents=True, exist_ok=True)
    (folder / shard).write_bytes(content)
  path = folder / name
  path.write_text(json.dumps({'format': 'graph-model', 'weightsManifest': groups}))
  return path


def entry(name, shape, dtype='float32'):
  return {'name': name, 'shape': shape, 'dtype': dtype}


def quantised(name, shape, stored, scale=None, minimum=None, dtype='float32'):
  quantization = {'dtype': stored, 'scale': scale, 'min': minimum}
  quantization = {k: v for k, v in quantization.items() if v is not None}
  return entry(name, shape, dtype) | {'quantization': quantization}


def one(folder, weight, content):
  """Read a model of one weight."""
  return tfjs.read(write(folder, [{'paths': ['w.bin'], 'weights': [weight]}], {'w.bin': content}))


def test_reads_what_lies_across_shards_and_groups(tmp_path):
  content = FLOATS.tobytes() + INTS.tobytes()
  groups = [
    {
      'paths': ['a.bin', 'sub/b.bin'],
      'weights': [entry('x/y', [2, 3]), entry('i', [2], 'int32')],
    },
    {'paths': ['c.bin'], 'weights': [entry('s', [])]},
  ]
  shards = {
    'a.bin': content[:10],
    'sub/b.bin': content[10:],
    'c.bin': np.float32(7.5).tobytes(),
  }
  tensors = tfjs.read(write(tmp_path, groups, shards))
  assert list(tensors) == ['x/y', 'i', 's']
  np.testing.assert_array_equal(tensors['x/y'], FLOATS)
  np.testing.assert_array_equal(tensors['i'], INTS)
  assert tensors['s'].shape == ()
  assert tensors['s'] == 7.5
  assert {a.dtype.str for a in tensors.values()} == {'<f4', '<i4'}
  assert not any(a.flags.writeable for a in tensors.values())


def test_an_odd_byte_before_does_not_matter(tmp_path):
  weights = [quantised('q', [1], 'uint8', 1.0, 0.0), entry('x', [2, 3])]
  groups = [{'paths': ['w.bin'], 'weights': weights}]
  tensors = tfjs.read(write(tmp_path, groups, {'w.bin': b'\x05' + FLOATS.tobytes()}))
  assert tensors['q'] == 5
  np.testing.assert_array_equal(tensors['x'], FLOATS)


def test_float16_is_widened(tmp_path):
  values = np.array([1.5, -65504, 6e-8], '<f2')
  (found,) = one(tmp_path, quantised('h', [3], 'float16'), values.tobytes()).values()
  assert found.dtype == np.float32
  assert found.tolist() == [1.5, -65504, float(np.float16(6e-8))]


@pytest.mark.parametrize(('stored', 'top'), [('uint8', 255), ('uint16', 65535)])
def test_quantised_numbers_become_what_they_stand_for(tmp_path, stored, top):
  numbers = np.array([0, 1, top], np.dtype(stored).newbyteorder('<'))
  weight = quantised('q', [3, 1], stored, 0.25, -3)
  (found,) = one(tmp_path, weight, numbers.tobytes()).values()
  assert found.dtype == np.float32
  assert found.ravel().tolist() == [-3, -2.75, top / 4 - 3]
  weight = quantised('q', [3], stored, 0.5, 0, 'int32')
  (found,) = one(tmp_path, weight, numbers.tobytes()).values()
  assert found.dtype == np.int32
  # JavaScript rounds halves up, and so 0.5 to 1 where NumPy gives 0.
  assert found.tolist() == [0, 1, (top + 1) // 2]


@settings(max_examples=40, deadline=None)
@given(
  st.lists(st.integers(0, 3), max_size=4),
  st.sampled_from(['float32', 'int32', 'uint8', 'uint16', 'bool', 'float16']),
  st.integers(1, 5),
)
def test_any_shape_comes_back(tmp_path_factory, shape, dtype, pieces):
  folder = tmp_path_factory.mktemp('model')
  count = int(np.prod(shape))
  values = (np.arange(count) % 2).astype(dtype).reshape(shape)
  content = values.tobytes()
  cuts = [len(content) * i // pieces for i in range(pieces + 1)]
  shards = {f'{i}.bin': content[cuts[i] : cuts[i + 1]] for i in range(pieces)}
  groups = [{'paths': list(shards), 'weights': [entry('w', shape, dtype)]}]
  found = tfjs.read(write(folder, groups, shards))['w']
  assert found.dtype == np.dtype(dtype)
  np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize('change', [-1, 1, -24])
def test_shards_of_another_size_are_refused(tmp_path, change):
  content = (FLOATS.tobytes() + bytes(8))[: 24 + change]
  fault = 'cut off' if change < 0 else 'of another model'
  with pytest.raises(PosejaxError, match=f'take 24 bytes .* hold {24 + change} .*{fault}'):
    one(tmp_path, entry('w', [2, 3]), content)


def test_a_missing_shard_is_named(tmp_path):
  path = write(tmp_path, [{'paths': ['gone.bin'], 'weights': [entry('w', [1])]}], {})
  with pytest.raises(PosejaxError, match=r"shard 'gone\.bin' is not there"):
    tfjs.read(path)
  (tmp_path / 'gone.bin').mkdir()
  with pytest.raises(PosejaxError, match=r"shard 'gone\.bin' is not there"):
    tfjs.read(path)


@pytest.mark.parametrize(
  'shard',
  [
    *('/etc/passwd', '../secret.bin', 'sub/../../secret.bin', 'C:/secret.bin', '..\\secret.bin'),
    *(
      '',
      '.',
      './secret.bin',
      'sub//secret.bin',
      'https://host/secret.bin',
      'a\0b',
      None,
      5,
      ['a'],
    ),
  ],
)
def test_paths_that_lead_elsewhere_are_refused_by_name(tmp_path, shard):
  (tmp_path / 'secret.bin').write_bytes(bytes(4))
  folder = tmp_path / 'model'
  folder.mkdir()
  path = write(folder, [{'paths': [shard], 'weights': [entry('w', [1])]}], {})
  with pytest.raises(PosejaxError, match='only files in the folder') as error:
    tfjs.read(path)
  assert repr(shard) in str(error.value)


@pytest.mark.parametrize('shape', [[10**12], [2**31, 2**31], [1000] * 32, [2**62] * 32, [2**62, 4]])
def test_huge_sizes_take_no_memory(tmp_path, shape):
  with pytest.raises(PosejaxError, match='cut off'):
    one(tmp_path, entry('w', shape), bytes(16))


@pytest.mark.parametrize(
  'weight',
  [
    *('w', None, {}, {'name': 'w', 'shape': [1]}, {'name': 5, 'shape': [1], 'dtype': 'float32'}),
    *(entry('w', shape) for shape in ([-1], [1.0], [True], ['1'], [[1]], 4, None, [1] * 33)),
    *(entry('w', shape) for shape in ([10**30], [10**4000], [0, 2**62], [0] + [2**20] * 5)),
    {'name': 'w', 'shape': [1], 'dtype': 'float32', 'quantization': 'uint8'},
  ],
)
def test_weights_described_in_no_known_way_are_refused(tmp_path, weight):
  with pytest.raises(PosejaxError, match='in no known way'):
    one(tmp_path, weight, bytes(4))


@pytest.mark.parametrize(
  ('weight', 'message'),
  [
    (entry('w', [1], 'string'), "'w' is of type 'string'"),
    (entry('w', [1], ['float32']), "'w' is of type"),
    (quantised('w', [1], 'int4', 1.0, 0.0), "quantised to 'int4'"),
    (quantised('w', [1], 'uint8', 1.0, 0.0, 'bool'), "'bool' quantised to 'uint8'"),
    (quantised('w', [1], 'uint8', 1.0), 'min None'),
    (quantised('w', [1], 'uint8', float('nan'), 0.0), 'scale nan'),
    (quantised('w', [1], 'uint8', float('inf'), 0.0), 'scale inf'),
    (quantised('w', [1], 'uint8', '1', 0.0), "scale '1'"),
    (quantised('w', [1], 'uint8', 1e9, 0, 'int32'), 'scale 1000000000.0'),
  ],
)
def test_unreadable_types_are_refused(tmp_path, weight, message):
  with pytest.raises(PosejaxError, match=message):
    one(tmp_path, weight, bytes(1))


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('', 'not valid JSON'),
    ('{"weightsManifest": [', 'not valid JSON'),
    ('[' * 200_000, 'not valid JSON'),
    ('{"x": ' + '9' * 5000 + '}', 'not valid JSON'),
    ('[1, 2]', 'no TensorFlow.js model'),
    ('{"images": []}', r"no TensorFlow.js model.*has \['images'\]"),
    ('{"weightsManifest": {}}', 'no list of groups'),
    ('{"weightsManifest": [7]}', 'no list of groups'),
    ('{"weightsManifest": []}', 'names no weights'),
    ('{"weightsManifest": [{"paths": [], "weights": []}]}', 'names no weights'),
    ('{"weightsManifest": [{"paths": "a.bin", "weights": [1]}]}', 'group 0 .* no lists'),
  ],
)
def test_json_that_describes_no_model_is_refused(tmp_path, text, message):
  path = tmp_path / 'model.json'
  path.write_text(text)
  with pytest.raises(PosejaxError, match=message):
    tfjs.read(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
  path = tmp_path / 'model.json'
  path.write_bytes(b'{"weightsManifest\xff\xfe": 1}')
  with pytest.raises(PosejaxError, match='not valid JSON'):
    tfjs.read(path)


def test_a_name_twice_is_refused(tmp_path):
  groups = [{'paths': ['w.bin'], 'weights': [entry('w', [1]), entry('w', [1])]}]
  with pytest.raises(PosejaxError, match="'w' twice"):
    tfjs.read(write(tmp_path, groups, {'w.bin': bytes(8)}))


def test_json_is_known_by_its_start():
  assert tfjs.is_tfjs(b' \n{"format"')
  assert tfjs.is_tfjs(b'\xef\xbb\xbf{')
  assert not tfjs.is_tfjs(b'PK\x03\x04{')
  assert not tfjs.is_tfjs(b'')
