"""TensorFlow Lite models for tests, written with the builder of the flatbuffers package."""

import flatbuffers

TYPES = {'float32': 0, 'float16': 1, 'int32': 2, 'uint8': 3, 'int64': 4, 'bool': 6, 'int8': 9}


def model(tensors, identifier=b'TFL3', buffers=None):
  """Return a model of one subgraph.

  Args:
    tensors: dicts of `name`, `shape`, `type` (a number or a name of `TYPES`), `data` (bytes; None for a
      tensor that is computed), and optionally `scales`, `zero_points`, `axis`, `buffer` (a number).
    identifier: of the file.
    buffers: how many there are; one a tensor, and the empty one, where None.
  """
  b = flatbuffers.Builder(1024)

  def table(count, *slots):
    b.StartObject(count)
    for add, number, value, default in slots:
      add(number, value, default)
    return b.EndObject()

  def tables(offsets):
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
      b.PrependUOffsetTRelative(offset)
    return b.EndVector()

  def numbers(values, prepend, size):
    b.StartVector(size, len(values), size)
    for value in reversed(values):
      prepend(value)
    return b.EndVector()

  reference, found, kept = b.PrependUOffsetTRelativeSlot, [], [table(3)]
  for number, one in enumerate(tensors, 1):
    data = one.get('data')
    vector = None if data is None else b.CreateByteVector(data)
    kept.append(table(3, *([] if vector is None else [(reference, 0, vector, 0)])))
    quantization = None
    if 'scales' in one:
      scales = numbers(one['scales'], b.PrependFloat32, 4)
      zeros = numbers(one.get('zero_points', ()), b.PrependInt64, 8)
      axis = (b.PrependInt32Slot, 6, one.get('axis', 0), 0)
      quantization = table(7, (reference, 2, scales, 0), (reference, 3, zeros, 0), axis)
    shape = numbers(one['shape'], b.PrependInt32, 4)
    name = b.CreateString(one['name'])
    kind = one['type']
    slots = [
      (reference, 0, shape, 0),
      (b.PrependInt8Slot, 1, TYPES.get(kind, kind), 0),
      (b.PrependUint32Slot, 2, one.get('buffer', number), 0),
      (reference, 3, name, 0),
    ]
    if quantization is not None:
      slots.append((reference, 4, quantization, 0))
    found.append(table(11, *slots))
  subgraph = table(6, (reference, 0, tables(found), 0))
  subgraphs, all_buffers = tables([subgraph]), tables(kept[:buffers])
  version = (b.PrependUint32Slot, 0, 3, 0)
  b.Finish(
    table(12, version, (reference, 2, subgraphs, 0), (reference, 4, all_buffers, 0)),
    file_identifier=identifier,
  )
  return bytes(b.Output())
