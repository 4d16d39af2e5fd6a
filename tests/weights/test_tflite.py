"""TensorFlow Lite: what another writer wrote is read, and what is damaged or attacks is refused."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax import weights
from posejax.errors import PosejaxError
from tests.weights import tflite_bytes

FLOATS = np.arange(6, dtype='<f4').reshape(2, 3) - 2.5


def load(folder, content):
  path = folder / 'model.tflite'
  path.write_bytes(content)
  return weights.load(path)


def tensor(name, values, **more):
  values = np.asarray(values)
  kind = values.dtype.name
  return {'name': name, 'shape': values.shape, 'type': kind, 'data': values.tobytes(), **more}


def test_every_readable_type_comes_back_and_what_is_computed_is_left_out(tmp_path):
  arrays = {
    'w/kernel': FLOATS,
    'half': np.array([1.5, -65504, 6e-8], '<f2'),
    'i': np.array([[-1], [2**30]], '<i4'),
    'l': np.array(2**40, '<i8'),
    'b': np.array([True, False, True]),
    'u': np.array([0, 255], 'u1'),
  }
  tensors = [tensor(name, values) for name, values in arrays.items()]
  computed = {'name': 'x', 'shape': (1, 9, 7), 'type': 'float32', 'data': None}
  found = load(tmp_path, tflite_bytes.model([computed, *tensors]))
  assert list(found) == list(arrays)
  for name, values in arrays.items():
    np.testing.assert_array_equal(found[name], values)
    assert found[name].shape == values.shape
    assert not found[name].flags.writeable
  assert found.pop('half').dtype == np.float32
  assert all(found[name].dtype == arrays[name].dtype for name in found)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_quantised_tensors_come_back_as_what_they_stand_for(tmp_path_factory, data):
  shape = data.draw(st.tuples(*[st.integers(1, 4)] * data.draw(st.integers(1, 4))))
  kind = data.draw(st.sampled_from(['uint8', 'int8', 'int32']))
  info = np.iinfo(kind)
  rng = np.random.default_rng(data.draw(st.integers(0, 99)))
  q = rng.integers(info.min, info.max, shape, kind, endpoint=True)
  axis = data.draw(st.integers(0, len(shape) - 1))
  count = data.draw(st.sampled_from([1, shape[axis]]))
  scales = rng.uniform(1e-4, 3, count).astype('f4')
  zeros = rng.integers(-5, 200, data.draw(st.sampled_from([0, 1, count])))
  content = tflite_bytes.model(
    [tensor('q', q, scales=scales.tolist(), zero_points=zeros.tolist(), axis=axis)]
  )
  (found,) = load(tmp_path_factory.getbasetemp(), content).values()
  assert found.dtype == np.float32
  for place in np.ndindex(shape):
    i = place[axis]
    zero = zeros[min(i, len(zeros) - 1)] if len(zeros) else 0
    expected = (float(q[place]) - float(zero)) * float(scales[min(i, count - 1)])
    assert found[place] == pytest.approx(expected, rel=1e-6, abs=1e-30)


GOOD = tensor('w', FLOATS)
QUANTISED = tensor('q', np.arange(6, dtype='i1').reshape(2, 3))


@pytest.mark.parametrize(
  ('tensors', 'message'),
  [
    ([GOOD, GOOD], "two weights called 'w'"),
    ([{**GOOD, 'shape': (2, 4)}], r"'w': float32 \[2, 4\] takes 32 bytes, its buffer has 24"),
    ([{**GOOD, 'shape': (2, -3)}], "'w' has no possible shape"),
    ([{**GOOD, 'shape': (1,) * 33}], "'w' has no possible shape"),
    ([{**GOOD, 'shape': (2**30,) * 20}], "'w': float32 .* takes"),
    ([{**GOOD, 'type': 17}], "'w' is of int4; readable are float32"),
    ([{**GOOD, 'type': 99}], "'w' is of type 99"),
    ([{**GOOD, 'buffer': 7}], "'w' is in buffer 7; there are 2"),
    ([{**QUANTISED, 'scales': [1.0, 2.0], 'axis': 1}], r"'q' of shape \[2, 3\] has 2 scales"),
    ([{**QUANTISED, 'scales': [1.0, 2.0], 'axis': 2}], '2 scales and 0 zero points along axis 2'),
    ([{**QUANTISED, 'scales': [1.0, 2.0], 'axis': -1}], 'along axis -1'),
    ([{**QUANTISED, 'scales': [float('nan')]}], "'q' .*from 0 up"),
    ([{**QUANTISED, 'scales': [1.0], 'zero_points': [1, 2, 3]}], '3 zero points'),
    ([{**GOOD, 'data': None}], 'no named tensors'),
  ],
)
def test_what_does_not_fit_is_refused_by_name(tensors, message, tmp_path):
  with pytest.raises(PosejaxError, match=message):
    load(tmp_path, tflite_bytes.model(tensors))


def test_many_tensors_of_one_buffer_do_not_fill_the_memory(tmp_path):
  big = tensor('w', np.zeros(2**16, 'i1'), scales=[0.5])
  shares = [{**big, 'name': f'w{i}', 'data': None, 'buffer': 1} for i in range(200)]
  with pytest.raises(PosejaxError, match='16 times the memory of the file'):
    load(tmp_path, tflite_bytes.model([big, *shares]))
  few = load(tmp_path, tflite_bytes.model([big, *shares[:2]]))
  assert len(few) == 3


WHOLE = tflite_bytes.model(
  [
    GOOD,
    tensor('h', np.arange(4, dtype='<f2')),
    {**QUANTISED, 'scales': [1.0, 2.0, 0.5], 'zero_points': [1, 2, 3], 'axis': 1},
  ]
)


@settings(max_examples=200, deadline=None)
@given(st.integers(8, len(WHOLE) - 1))
def test_cut_off_anywhere_it_is_refused(tmp_path_factory, length):
  """What was cut off may be nothing but padding."""
  folder = tmp_path_factory.getbasetemp()
  whole = load(folder, WHOLE)
  try:
    found = load(folder, WHOLE[:length])
  except PosejaxError:
    return
  assert found.keys() == whole.keys()
  assert all((found[name] == whole[name]).all() for name in whole)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damage_is_noticed_or_harmless(tmp_path_factory, data):
  """Any bytes changed: arrays or a PosejaxError, nothing else."""
  content = bytearray(WHOLE)
  for _ in range(data.draw(st.integers(1, 4))):
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
  try:
    found = load(tmp_path_factory.getbasetemp(), bytes(content))
  except PosejaxError:
    return
  assert all(isinstance(t, np.ndarray) for t in found.values())
