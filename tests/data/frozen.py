"""What the frozen evaluation pictures are: hashes of their labels and pixels, and how to take them.

Labels come from NumPy alone. Pixels come from OpenCV's rasteriser, so their hash holds for the
OpenCV it was taken with; with another one, coarse brightness must still agree. The digits' pixels
also come from NumPy's products and sines, whose last bits depend on how wide a CPU's vectors are.
"""

from collections.abc import Iterable
import hashlib

import numpy as np

from posejax.types import Example

LABELS_SHA256 = 'd806561b5f5823c70dd81064bf6e5bf278087c74cbe3bc61bb6e2ae2b75853d7'
PIXELS_SHA256 = 'c3a83ea192d9fac5e2f25bcda3fb9b99dfa088ae46829b19e4cc2570585edd6c'
PIXELS_OPENCV = '5.0.0'
"""The version of OpenCV that drew the pixels of `PIXELS_SHA256`."""
MEAN_LEVELS = (
  113.94, 197.13, 149.38, 140.71, 124.45, 108.85, 120.01, 139.05,
  142.73, 146.86, 137.34, 123.57, 98.44, 115.52, 138.7, 119.99,
)  # fmt: skip
"""Mean grey level (0..255) of the first 16 pictures."""

DIGIT_LABELS = '2162116547656909464181271768541952311286515202414513535125201526'
"""The first 64 labels of the evaluation digits."""
DIGIT_PIXELS_SHA256 = {
  'X86_V4': '5669597469b8f415406a981d841f429fbabeb736830c7d44b1f89aeab5ac42f5',
  'X86_V3': '228c732ac56dde054a93e126220432ee6a9f98f6518482201ff877db7919578d',
}
"""By the widest vectors of the CPU that painted them, as NumPy names them: AVX-512, AVX2."""
DIGIT_LEVELS = (
  98.55, 145.87, 80.14, 195.84, 143.46, 115.77, 120.37, 124.63,
  116.37, 88.32, 199.44, 44.72, 70.56, 97.43, 147.0, 83.95,
)  # fmt: skip
"""Mean grey level of their first 16 pictures."""


def labels_sha256(examples: Iterable[Example]) -> str:
  """Hash keypoints and boxes (rounded to 1/100 pixel) and visibility."""
  sha = hashlib.sha256()
  for example in examples:
    for name in ('keypoints', 'box'):
      sha.update(np.rint(example[name].astype(float) * 100).astype('<i4').tobytes())
    sha.update(example['visibility'].astype('<i4').tobytes())
  return sha.hexdigest()


def pixels_sha256(examples: Iterable[Example]) -> str:
  """Hash the pictures' bytes."""
  sha = hashlib.sha256()
  for example in examples:
    sha.update(np.ascontiguousarray(example['image']).tobytes())
  return sha.hexdigest()


def mean_levels(examples: Iterable[Example]) -> list[float]:
  """Return each picture's mean grey level, rounded to 1/100."""
  return [round(float(example['image'].mean()), 2) for example in examples]
