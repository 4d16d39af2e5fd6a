"""A Python that has this folder on its path finds no TensorFlow, as where it is not installed."""

from importlib.machinery import PathFinder
import sys

HIDDEN = ('tensorflow', 'clu')  # clu's writers import it


class Finder(PathFinder):
  @classmethod
  def find_spec(cls, fullname, path=None, target=None):
    if fullname.partition('.')[0] in HIDDEN:
      return None
    return super().find_spec(fullname, path, target)


sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
