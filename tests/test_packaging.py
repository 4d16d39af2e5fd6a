import ast
from importlib import metadata
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
import pytest
import setuptools

import posejax
from posejax import cli

ROOT = pathlib.Path(__file__).parents[1]
# What setup.py need not name because what it names is made of it.
PART_OF = {'jaxlib': 'jax', 'werkzeug': 'flask'}


@pytest.fixture(scope='module')
def declared():
  """Return the arguments that setup.py gives to `setup`."""
  given = {}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(setuptools, 'setup', given.update)
    patch.syspath_prepend(str(ROOT))
    patch.chdir(ROOT)
    runpy.run_path('setup.py')
  return given


@pytest.fixture(scope='module')
def requirements(declared):
  """Return the requirements of the package, of its tests and of OpenVINO, by name."""
  extras = declared['extras_require']
  lines = declared['install_requires'] + extras['test'] + extras['openvino']
  found = [Requirement(line) for line in lines]
  return {canonicalize_name(requirement.name): requirement for requirement in found}


def imported(folders):
  """Return the top-level modules that the files under `folders` import, anywhere in them."""
  names = set()
  for folder in folders:
    path = ROOT / folder
    for file in [path] if path.suffix else path.rglob('*.py'):
      for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
          names.update(alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
          names.add(node.module.split('.')[0])
  return names - set(sys.stdlib_module_names) - {'posejax', 'configs', 'tests'}


def test_the_version_is_the_packages(declared):
  assert declared['version'] == posejax.__version__
  assert f'## {posejax.__version__}' in (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')


def test_every_package_is_installed(declared):
  folders = {path.parent for name in ('posejax', 'configs') for path in (ROOT / name).rglob('*.py')}
  found = {str(folder.relative_to(ROOT)).replace('/', '.') for folder in folders}
  assert set(declared['packages']) == found


def test_what_packages_hold_beside_python_is_installed(declared):
  others = {
    path
    for path in (ROOT / 'posejax').rglob('*')
    if path.is_file() and path.suffix not in ('.py', '.pyc')
  }
  installed = {
    path
    for package, patterns in declared['package_data'].items()
    for pattern in patterns
    for path in ROOT.joinpath(*package.split('.')).glob(pattern)
  }
  assert others == installed


def test_what_an_extra_brings_is_what_errors_say(declared):
  extras = set(declared['extras_require'])
  for path in (ROOT / 'posejax').rglob('*.py'):
    named = re.findall(r"pip install[^'\n]*'posejax\[(\w+)\]'", path.read_text(encoding='utf-8'))
    assert set(named) <= extras, path


def test_the_command_is_the_cli(declared):
  (script,) = declared['entry_points']['console_scripts']
  name, _, value = script.partition('=')
  assert name == 'posejax'
  assert metadata.EntryPoint(name, value, 'console_scripts').load() is cli.main


def test_every_import_is_declared(requirements):
  providers = metadata.packages_distributions()
  for module in imported(['posejax', 'configs', 'main.py']):
    names = {canonicalize_name(name) for name in providers.get(module, [module])}
    names |= {PART_OF[name] for name in names if name in PART_OF}
    assert names & set(requirements), f'{module} is imported, and setup.py names none of {names}'


def test_the_constraints_lie_within_the_declared_ranges(requirements):
  lines = (ROOT / 'constraints.txt').read_text(encoding='utf-8').splitlines()
  pinned = [Requirement(line) for line in lines if line and not line.startswith('#')]
  versions = {}
  for pin in pinned:
    (specifier,) = pin.specifier
    assert specifier.operator == '=='
    versions[canonicalize_name(pin.name)] = specifier.version
  assert len(versions) == len(pinned)
  for name, requirement in requirements.items():
    assert requirement.specifier.contains(versions[name]), name


def test_every_range_has_both_ends(requirements):
  for requirement in requirements.values():
    assert {specifier.operator for specifier in requirement.specifier} == {'>=', '<'}


def test_ci_calls_the_tests_as_readme_does():
  readme = (ROOT / 'README.md').read_text(encoding='utf-8')
  block = readme.split('<!-- tests -->\n```bash\n')
  assert len(block) == 2, 'README.md gives the test command once, after <!-- tests -->'
  command = block[1].split('\n```')[0]
  assert command == "pip install -e '.[test]' -c constraints.txt && python -m pytest"
  # .ci/run takes the command from there: none of it stands in the file.
  script = (ROOT / '.ci' / 'run').read_text(encoding='utf-8')
  assert '<!-- tests -->' in script
  assert 'pytest' not in script.replace("pytest's", '')


@pytest.mark.parametrize(
  'script', ['.ci/run', *(f'launch/{n}.sh' for n in ('local', 'slurm', 'tpu_vm'))]
)
def test_scripts_are_executable_bash(script):
  path = ROOT / script
  assert path.stat().st_mode & 0o111
  assert path.read_text(encoding='utf-8').startswith('#!/usr/bin/env bash\n')
  if shutil.which('bash'):
    subprocess.run(['bash', '-n', str(path)], check=True)
