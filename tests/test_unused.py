"""Nothing lies in the package that only tests use."""

import ast
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
# Where a name that users or programs need is named again; tests are not among them.
USERS = ('posejax/**/*.py', 'configs/*.py', 'benchmarks/**/*.py', '*.py', '*.md', 'docs/*.md')
# A part of the geometry for whoever has boxes to compare.
FOR_OTHERS = {'posejax/geometry/boxes.py: iou'}


def definitions(path):
  """Yield the names of a module's functions, classes and constants."""
  for node in ast.parse(path.read_text(encoding='utf-8')).body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
      targets = node.targets if isinstance(node, ast.Assign) else [node.target]
      yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_every_name_is_used_somewhere():
  words = collections.Counter()
  for path in {path for pattern in USERS for path in ROOT.glob(pattern)}:
    words.update(re.findall(r'\w+', path.read_text(encoding='utf-8')))
  unused = [
    f'{path.relative_to(ROOT)}: {name}'
    for path in sorted(ROOT.glob('posejax/**/*.py'))
    for name in definitions(path)
    if words[name] == 1 and not name.startswith('__')
  ]
  assert set(unused) <= FOR_OTHERS, 'remove what nothing uses; what only tests use belongs to them'
