"""Convolution for XLA's CPU backend: the same sums, with gradients in the forms it computes fast.

XLA computes the gradients of a convolution as further convolutions. On the CPU the forward pass of
a net is level with PyTorch's, and the gradient for the kernel 2 to 5 times slower: it becomes a
convolution whose channels are the examples of the batch, of which there are few, and whose im2col
packs channel by channel. Here it is a convolution along the height with batch x width channels.
What each form costs is measured in `benchmarks/README.md`.
"""

import jax
from jax import lax
import jax.numpy as jnp

from posejax.models.cpu import winograd

MANY = 4
"""Times as many input as output channels from which on a kernel gradient shifts the output instead."""
FEW = 48
"""Inputs of an output pixel (k * k * C) up to which a product is as fast: those of a 4x4 stem."""
LARGE = 16
"""Inputs of an output pixel for each pixel of the map from which on a kernel is large beside the map."""
NARROW = 16
"""Output channels up to which a second core does not make up for what using it costs."""
ONE_CORE = 64
"""Output channels up to which the library that XLA calls keeps to one core."""
SMALL_MAP = 256
"""Pixels up to which a second core does not make up for what using it costs."""
LARGE_MAP = 4096
"""Pixels from which on what a product lays side by side is too much for the caches."""
DEEP = 128
"""Channels, of the input as of the output, from which on fewer products make up for more sums."""
WIDE_MAP = 128
"""Pixels from which on they make up for a kernel that is 16 / 9 as large."""
DIMENSIONS = ('NHWC', 'HWIO', 'NHWC')


def forward(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
  """Return the cross-correlation of `x` `[B, h, w, C]` and `kernel` `[k, k, C, D]`."""
  name = form(x.shape[1:3], kernel.shape, stride, padding)
  return FORMS[name](x, kernel, stride, padding)


def form(
  shape: tuple[int, int], kernel_shape: tuple[int, int, int, int], stride: int, padding: int
) -> str:
  """Return the name in `FORMS` of what computes a convolution of maps of `shape` (h, w) fastest.

  Whatever the batch, which a program that was exported for any batch does not know.
  Source: measured, `benchmarks/convolutions.py`.
  """
  k, _, c, d = kernel_shape
  h, w = _output_shape(shape, k, stride, padding)
  inputs, pixels = k * k * c, h * w
  if min(c, d) >= DEEP and pixels >= WIDE_MAP and can('winograd', k, stride, padding):
    return 'winograd'
  few = inputs <= FEW and pixels < LARGE_MAP
  if k == 1 or few or (inputs >= LARGE * pixels and d > ONE_CORE):
    return 'product'
  if padding == 0 or (stride == 1 and NARROW < d <= ONE_CORE and pixels > SMALL_MAP):
    return 'columns'
  return 'plain'


def product(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
  """Convolve by one product of matrices, of what every output pixel sees and the kernel."""
  k, _, c, d = kernel.shape
  taps = _taps(x, k, stride, padding, _output_shape(x.shape[1:3], k, stride, padding))
  patches = jnp.concatenate(taps, -1) if k > 1 else taps[0]
  return lax.dot_general(patches, kernel.reshape(k * k * c, d), (((3,), (0,)), ((), ())))


def plain(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
  """Convolve as XLA does."""
  return _convolve(x, kernel, stride, ((padding, padding),) * 2)


def with_columns(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
  """Convolve with columns of padding added, which leads jaxlib 0.10.2 to another path.

  Without any padding it takes one up to 12 times slower. Where the output is not larger than the input
  in any direction and has few channels, it calls a library that keeps to one core.
  """
  columns = kernel.shape[0] if padding == 0 and stride == 1 else 1
  return _convolve(x, kernel, stride, ((padding, padding),) * 2, columns)


def with_fewer_products(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
  """Convolve a 3x3 kernel, moved by 1 and padded by 1, with four products for nine."""
  del stride, padding
  return winograd.convolve(x, kernel)


FORMS = {
  'product': product,
  'plain': plain,
  'columns': with_columns,
  'winograd': with_fewer_products,
}


def can(name: str, size: int, stride: int, padding: int) -> bool:
  """Return whether a form of `FORMS` computes kernels of `size` by `size`, so moved and padded."""
  return name != 'winograd' or (size, stride, padding) == (3, 1, 1)


def _output_shape(shape, size, stride, padding):
  h, w = ((n + 2 * padding - size) // stride + 1 for n in shape)
  return h, w


def _taps(x, size, stride, padding, shape):
  """Return what each of the kernel's pixels sees, in row-major order: `[B, h, w, C]` each."""
  h, w = ((n - 1) * stride + 1 for n in shape)
  x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
  places = [(i, j) for i in range(size) for j in range(size)]
  return [x[:, i : i + h : stride, j : j + w : stride] for i, j in places]


def _convolve(x, kernel, stride, padding, columns=0, input_dilation=1):
  """Convolve, with `columns` of padding added behind; what they gave is cut off again."""
  k, w = kernel.shape[1], x.shape[2]
  before, after = padding[1]
  y = lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    (padding[0], (before, after + columns)),
    lhs_dilation=(input_dilation, input_dilation),
    dimension_numbers=DIMENSIONS,
  )
  return y[:, :, : (w + before + after - k) // stride + 1] if columns else y


def input_gradient(
  dy: jax.Array, kernel: jax.Array, shape: tuple[int, int], stride: int, padding: int
) -> jax.Array:
  """Return the gradient for the input of `shape` (h, w), given `dy` for the output."""
  k, _, c, d = kernel.shape
  # Zeros before and behind the dilated `dy` that make it reach every input pixel's windows.
  before = k - 1 - padding
  after = [n - ((m - 1) * stride + 1) + padding for n, m in zip(shape, dy.shape[1:3], strict=True)]
  if k > 1 and kernel.size * 2 < dy.size:
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    around = [(before, a) for a in after]
    columns = 0
    if stride == 1 and not any(map(any, around)):
      columns = k
    elif stride == 1 and c <= ONE_CORE:
      columns = 1
    return _convolve(dy, flipped, 1, around, columns, stride)
  # A kernel that is large beside the map: turning it costs more than the products do. One product
  # takes it as it lies; every tap's part is then added where that tap points.
  parts = lax.dot_general(dy, kernel.reshape(k * k * c, d), (((3,), (1,)), ((), ())))
  dx = jnp.zeros((), dy.dtype)
  for i in range(k):
    for j in range(k):
      part = lax.slice_in_dim(parts, (i * k + j) * c, (i * k + j + 1) * c, axis=3)
      widths = [(t - padding, n - t, stride - 1) for t, n in zip((i, j), after, strict=True)]
      dx = dx + lax.pad(part, jnp.zeros((), part.dtype), [(0, 0, 0), *widths, (0, 0, 0)])
  return dx


def kernel_gradient(x: jax.Array, dy: jax.Array, size: int, stride: int, padding: int) -> jax.Array:
  """Return the gradient `[size, size, C, D]` for the kernel, given `dy` for the output."""
  b, h, w, d = dy.shape
  c = x.shape[-1]
  if size == 1:
    x = x[:, ::stride, ::stride]
    if d < c:  # the first factor is transposed, so it should be the smaller
      return _contract_pixels(dy, x).T.reshape(1, 1, c, d)
    return _contract_pixels(x, dy).reshape(1, 1, c, d)
  # Examples and columns are summed over: they are the channels, and rows the one spatial axis.
  x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0))).transpose(3, 1, 0, 2)
  dy = dy.transpose(1, 0, 2, 3)
  # The kernel's columns go beside each other on the narrower side, where that makes wide products.
  if stride == 1 and c >= MANY * d:
    shifted = [jnp.pad(dy, ((0, 0), (0, 0), (j, size - 1 - j), (0, 0))) for j in range(size)]
    columns = _contract_columns(x, jnp.stack(shifted, 3).reshape(h, -1, size * d), stride, size)
    return columns.reshape(c, size, size, d).transpose(1, 2, 0, 3)
  shifted = jnp.stack([x[..., j : j + (w - 1) * stride + 1 : stride] for j in range(size)])
  columns = _contract_columns(
    shifted.reshape(size * c, *shifted.shape[2:]), dy.reshape(h, b * w, d), stride, size
  )
  return columns.reshape(size, c, size, d).transpose(2, 0, 1, 3)


def _contract_pixels(x: jax.Array, y: jax.Array) -> jax.Array:
  """Return the sum over examples and pixels of the outer product, `[C, D]`."""
  return lax.dot_general(x, y, (((0, 1, 2), (0, 1, 2)), ((), ())))


def _contract_columns(x: jax.Array, dy: jax.Array, stride: int, size: int) -> jax.Array:
  """Return `[C, size, D]`: `x` `[C, rows, B, w]` times `dy` `[h, B * w, D]` at every shift of rows."""
  x = x.reshape(*x.shape[:2], -1)
  y = lax.conv_general_dilated(
    x, dy, (1,), 'VALID', rhs_dilation=(stride,), dimension_numbers=('NHC', 'HIO', 'NHC')
  )
  return y[:, :size]
