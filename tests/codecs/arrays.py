"""A codec of one output, seen as a codec of that array alone."""

import dataclasses

from posejax.codecs import Codec


@dataclasses.dataclass(frozen=True)
class Arrays:
  codec: Codec

  def __getattr__(self, name):
    return getattr(self.codec, name)

  def encode(self, keypoints, visibility):
    targets, weights = self.codec.encode(keypoints, visibility)
    assert tuple(targets) == self.codec.outputs
    return targets[self.codec.output], weights

  def decode(self, array):
    return self.codec.decode({self.codec.output: array})

  def flip(self, array, permutation, shift):
    return self.codec.flip({self.codec.output: array}, permutation, shift)[self.codec.output]

  def average(self, array, mirrored):
    name = self.codec.output
    return self.codec.average({name: array}, {name: mirrored})[name]

  def target_maps(self, array, weights):
    return self.codec.target_maps({self.codec.output: array}, weights)

  def output_maps(self, array):
    return self.codec.output_maps({self.codec.output: array})
