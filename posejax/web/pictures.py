"""From the bytes a client sent to a picture."""

import io

import numpy as np
from PIL import Image, ImageOps

from posejax.errors import PosejaxError

# Whatever else Pillow could open, a camera or an editor writes none of it.
_FORMATS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'TIFF')


def decode(data: bytes, max_pixels: int) -> np.ndarray:
  """Return an encoded picture as uint8 RGB `[h, w, 3]`, turned upright.

  What it is, is read from the bytes. The declared size is looked at before anything is decoded.

  Raises:
    PosejaxError: it is no picture, is damaged or has more than `max_pixels` pixels.
  """
  if not data:
    raise PosejaxError(
      'The picture is empty (0 bytes); send the bytes of a JPEG, PNG or WebP file.'
    )
  Image.init()  # `open` knows only the commonest kinds by itself
  try:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
      if image.width * image.height > max_pixels:
        raise _too_large(f'{image.width}x{image.height}', max_pixels)
      upright = ImageOps.exif_transpose(image)
      if upright.mode in ('I;16', 'I;16B', 'I', 'F'):
        grey = np.clip(np.asarray(upright, np.float32) / 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
      return np.array(upright.convert('RGB'))
  except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
    raise _too_large('that many', max_pixels) from error
  except Image.UnidentifiedImageError as error:
    raise PosejaxError(
      f'These {len(data)} bytes are no picture of a kind known here; send JPEG, PNG or WebP.'
    ) from error
  except PosejaxError:
    raise
  except Exception as error:  # Pillow's readers raise what they please on damaged files
    raise PosejaxError(
      'The picture is damaged and cannot be decoded; save or send it anew.'
    ) from error


def _too_large(size: str, max_pixels: int) -> PosejaxError:
  return PosejaxError(
    f'The picture has {size} pixels, more than the {max_pixels:,} allowed; send a smaller one.'
  )
