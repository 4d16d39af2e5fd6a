"""What the checks compare with: layers and their gradients in float64 NumPy, written out by hand.

Nothing here goes through XLA or automatic differentiation. Arrays are `[B, h, w, C]`.
"""

import numpy as np

EPSILON = 1e-5


def _patches(x: np.ndarray) -> np.ndarray:
  """Return every 3x3 neighbourhood, zeros beyond the border, as `[B, h, w, 9 C]`."""
  b, h, w, c = x.shape
  padded = np.zeros((b, h + 2, w + 2, c))
  padded[:, 1:-1, 1:-1] = x
  shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
  return np.concatenate(shifted, axis=-1)


def conv3x3(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
  """Return the cross-correlation of `x` with `kernel` `[3, 3, C, D]`, padded by one zero."""
  return _patches(x) @ kernel.reshape(-1, kernel.shape[-1])


def conv3x3_gradients(
  x: np.ndarray, kernel: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Return the gradients for `x` and `kernel`, given `dy` for the output."""
  d = kernel.shape[-1]
  dkernel = _patches(x).reshape(-1, kernel.size // d).T @ dy.reshape(-1, d)
  return conv3x3(dy, kernel[::-1, ::-1].transpose(0, 1, 3, 2)), dkernel.reshape(kernel.shape)


def _windows(x: np.ndarray) -> np.ndarray:
  """Return the 2x2 windows of `x` as `[B, h/2, w/2, C, 4]`, in row-major order."""
  return np.stack([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=-1)


def blocks(
  params: list[dict[str, np.ndarray]], x: np.ndarray, target: np.ndarray
) -> tuple[float, list[dict[str, np.ndarray]]]:
  """Return the loss and the gradients of convolution, batch norm, ReLU and 2x2 maximum, repeated.

  Args:
    params: for each block `kernel` `[3, 3, C, D]`, `bias` `[D]` of the convolution, and `scale` and
      `shift` `[D]` of the batch norm.
    x: input `[B, h, w, C]`; h and w divisible by 2 for every block.
    target: `[B, h', w', D']`; the loss is the mean squared difference from it.
  """
  kept = []
  for block in params:
    y = conv3x3(x, block['kernel']) + block['bias']
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    inverse = 1 / np.sqrt(variance + EPSILON)
    normal = (y - mean) * inverse
    z = normal * block['scale'] + block['shift']
    windows = _windows(np.maximum(z, 0))
    kept.append((x, normal, inverse, z, windows.argmax(-1)))
    x = windows.max(-1)
  difference = x - target
  gradient = 2 * difference / difference.size
  gradients = []
  for block, (before, normal, inverse, z, winner) in reversed(list(zip(params, kept, strict=True))):
    dz = np.zeros_like(z)
    for k, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
      dz[:, i::2, j::2] = np.where(winner == k, gradient, 0)
    dz = np.where(z > 0, dz, 0)
    dshift, dscale = dz.sum((0, 1, 2)), (dz * normal).sum((0, 1, 2))
    count = dz[..., 0].size
    dy = block['scale'] * inverse * (dz - dshift / count - normal * dscale / count)
    gradient, dkernel = conv3x3_gradients(before, block['kernel'], dy)
    gradients.append(
      {'kernel': dkernel, 'bias': dy.sum((0, 1, 2)), 'scale': dscale, 'shift': dshift}
    )
  return float(np.mean(difference**2)), gradients[::-1]


def max_pool(
  x: np.ndarray, dy: np.ndarray | None, window: int, padding: int
) -> tuple[np.ndarray, np.ndarray]:
  """Return the maxima over windows at stride 2, and the gradient for `x`, given `dy`.

  Where `dy` is None the gradient is zero. Written as a loop over the windows.
  """
  b, h, w, c = x.shape
  padded = np.full((b, h + 2 * padding, w + 2 * padding, c), -np.inf)
  padded[:, padding : padding + h, padding : padding + w] = x
  height, width = (h + 2 * padding - window) // 2 + 1, (w + 2 * padding - window) // 2 + 1
  y = np.zeros((b, height, width, c))
  dx = np.zeros_like(padded)
  for i in range(height):
    for j in range(width):
      values = padded[:, 2 * i : 2 * i + window, 2 * j : 2 * j + window].reshape(b, -1, c)
      y[:, i, j] = values.max(1)
      if dy is not None:
        rows, columns = np.divmod(values.argmax(1), window)
        example, channel = np.indices((b, c))
        np.add.at(dx, (example, 2 * i + rows, 2 * j + columns, channel), dy[:, i, j])
  return y, dx[:, padding : padding + h, padding : padding + w]


def deconv(
  x: np.ndarray, kernel: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Return the transposed 4x4 convolution of stride 2, padding 1, and the gradients, given `dy`.

  Input pixel i adds `x[i] * kernel[k]` to output pixel `2 i + k - 1` along each axis.
  """
  b, h, w, _ = x.shape
  y = np.zeros((b, 2 * h + 2, 2 * w + 2, kernel.shape[-1]))
  padded = np.zeros_like(y)
  padded[:, 1:-1, 1:-1] = dy
  dx, dkernel = np.zeros(x.shape), np.zeros(kernel.shape)
  for i in range(4):
    for j in range(4):
      reach = np.s_[:, i : i + 2 * h : 2, j : j + 2 * w : 2]
      y[reach] += x @ kernel[i, j]
      dx += padded[reach] @ kernel[i, j].T
      dkernel[i, j] = np.tensordot(x, padded[reach], ((0, 1, 2), (0, 1, 2)))
  return y[:, 1:-1, 1:-1], dx, dkernel
