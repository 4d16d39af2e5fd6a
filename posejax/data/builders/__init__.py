"""Public data sets as TFDS builders: prepared once from their authors' files, read at random.

Import this package only to prepare or read such a data set: it imports tensorflow_datasets, which
takes a second (and imports no TensorFlow).
"""

from posejax.data.builders.base import PeopleBuilder
from posejax.data.builders.coco import PosejaxCoco
from posejax.data.builders.lsp import PosejaxLsp, PosejaxLspet
from posejax.data.builders.mpii import PosejaxMpii
from posejax.data.builders.panoptic import PosejaxPanoptic

BUILDERS: dict[str, type[PeopleBuilder]] = {
  'coco': PosejaxCoco,
  'lsp': PosejaxLsp,
  'lspet': PosejaxLspet,
  'mpii': PosejaxMpii,
  'panoptic': PosejaxPanoptic,
}
"""What `config.data.name` may be, beside drawn people and files."""
