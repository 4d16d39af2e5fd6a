"""Keep a source's examples in memory, decoded, once they were asked for."""

import dataclasses

from posejax.data.formats import decode
from posejax.data.sources.over import OverSource
from posejax.types import Example


@dataclasses.dataclass(frozen=True)
class Cached(OverSource):
  """A source whose pictures are read (or drawn) and decoded once.

  For data sets that fit: a picture of 160x128 takes 60 kB. Two threads asking for the same example
  at once may both make it; they make the same.
  """

  _examples: dict[int, Example] = dataclasses.field(default_factory=dict, compare=False, repr=False)

  def __getitem__(self, index: int) -> Example:
    if index not in self._examples:
      example = self.source[index]
      image = decode.decode_image(example['image'], source=example.get('image_name', 'image'))
      self._examples[index] = {**example, 'image': image}
    return self._examples[index]
