"""What may import what, and what no code here does. docs/architecture.md has the reasons."""

import ast
import pathlib
import subprocess
import sys

import pytest

from tests import processes

ROOT = pathlib.Path(__file__).parents[1]
# A package or module of posejax sees those of the lines above its own, and nothing else of posejax.
LAYERS = [
  {'types', 'errors', 'paths'},
  {'buckets'},
  {'files', 'options'},
  {'skeletons', 'config', 'host_tensorflow'},
  {'labels', 'devices'},
  {'geometry', 'ops'},
  {'codecs', 'losses', 'metrics', 'draw', 'plots'},
  {'models'},
  {'weights', 'doctor'},
  {'process'},
  {'data', 'tasks'},
  {'experiment'},
  {'runs'},
  {'train', 'infer'},
  {'sweep', 'web', 'plan'},
  {'commands'},
  {'cli'},
]
# Who is seen by fewer than the layers say: data draws and warps, and knows of no net.
SEES_ONLY = {
  'data': {
    *['types', 'errors', 'files', 'options', 'labels', 'skeletons', 'config', 'host_tensorflow'],
    *['geometry', 'draw'],
  },
}
SEEN_ONLY_BY = {
  'host_tensorflow': {
    'posejax/data/executors/tfdata.py',
    'posejax/data/formats/tfrecords.py',
    'posejax/runs/tensorboard.py',
  },
}
# The one place of a library: a file, or a folder.
HOMES = {
  'tensorflow': 'posejax/host_tensorflow.py',
  'tensorflow_datasets': 'posejax/data/',
  'orbax': 'posejax/runs/checkpoint.py',
  'fsspec': 'posejax/buckets.py',
  'clu': 'posejax/runs/tensorboard.py',
  'av': 'posejax/infer/frames/',
  'flask': 'posejax/web/',
  'ai_edge_litert': 'posejax/infer/export/tflite_writer/',
  'onnx': 'posejax/infer/export/',
  'onnxruntime': 'posejax/infer/runtimes/onnx_runtime.py',
  'openvino': 'posejax/infer/runtimes/openvino_runtime.py',
  'prometheus_client': 'posejax/web/metrics.py',
  'uvicorn': 'posejax/web/server.py',
  'ml_collections': 'posejax/commands/config_flags.py',
  'matplotlib': 'posejax/plots.py',
}


def files():
  return sorted(ROOT.glob('posejax/**/*.py'))


def module_name(path):
  parts = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imports(path, top_level_only=False):
  """Yield the dotted names that a file imports; `from a import b` yields `a.b`."""
  tree = ast.parse(path.read_text(encoding='utf-8'))
  for node in tree.body if top_level_only else ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: imports here name the whole path'
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def layer(name):
  """Return the number of the layer of a part of posejax."""
  (number,) = [i for i, names in enumerate(LAYERS) if name in names] or [None]
  assert number is not None, f'posejax.{name} has no place among the layers of this test'
  return number


@pytest.mark.parametrize('path', files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
  file = str(path.relative_to(ROOT))
  parts = module_name(path).split('.')
  for name in imports(path):
    target = name.split('.')
    if target[0] == 'configs':
      raise AssertionError(f'{file} imports {name}: only configs and main know configs')
    if target[0] != 'posejax' or target == ['posejax'] or len(parts) == 1:
      continue
    other = target[1]
    if other == parts[1]:
      continue
    assert layer(other) < layer(parts[1]), f'{file} imports {name}, which lies above or beside it'
    assert other in SEES_ONLY.get(parts[1], {other}), f'{file} imports {name}'
    assert file in SEEN_ONLY_BY.get(other, {file}), f'{file} imports {name}'


@pytest.mark.parametrize('library', HOMES)
def test_a_library_has_one_home(library):
  home = HOMES[library]
  for path in files():
    file = str(path.relative_to(ROOT))
    if not file.startswith(home):
      assert library not in {name.split('.')[0] for name in imports(path)}, file


def test_nothing_imports_itself_through_others():
  known = {module_name(path): path for path in files()}

  def resolve(name):
    """Return the module that `name`, a module or something in one, makes Python load."""
    return name if name in known else name.rpartition('.')[0]

  graph = {
    module: {resolve(name) for name in imports(path, top_level_only=True)} & set(known) - {module}
    for module, path in known.items()
  }
  # A package loads its modules, and each of them may use its siblings: so the package itself is no
  # dependency of what lies in it.
  graph = {m: {t for t in targets if not m.startswith(t + '.')} for m, targets in graph.items()}
  done = set()
  while len(done) < len(graph):
    ready = {module for module, targets in graph.items() if targets <= done} - done
    assert ready, f'in a circle: {sorted(set(graph) - done)}'
    done |= ready


def test_no_gradient_goes_through_a_reduced_maximum():
  # Its gradient compares every value with the maximum, exactly; XLA may compute the values anew for
  # that, rounded differently, and lose the gradient: seen with default flags (posejax.doctor).
  for path in [ROOT / 'posejax/losses.py', *ROOT.glob('posejax/models/**/*.py')]:
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        assert node.func.attr not in ('max', 'min', 'amax', 'amin'), f'{path}:{node.lineno}'


def test_all_but_three_files_do_without_tensorflow():
  allowed = SEEN_ONLY_BY['host_tensorflow'] | {HOMES['tensorflow']}
  modules = [module_name(path) for path in files() if str(path.relative_to(ROOT)) not in allowed]
  program = 'import importlib, sys; [*map(importlib.import_module, sys.argv[1:])]'
  result = subprocess.run(
    [sys.executable, '-c', program, *modules],
    cwd=ROOT,
    env=processes.without_tensorflow(),
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert result.returncode == 0, result.stderr[-3000:]
