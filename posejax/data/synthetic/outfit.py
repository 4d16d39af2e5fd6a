"""Dress a figure: colours of skin, hair and clothes, and which garments are worn."""

import numpy as np

from posejax.data.synthetic.outline import PART, PART_SLOT, PARTS, SLOTS

NUM_DRAWS = 36
"""How many uniform draws `dress` takes per person."""

_SKIN = np.array(
  [
    (255, 224, 196), (245, 208, 174), (234, 190, 152), (222, 171, 127), (198, 143, 99),
    (172, 117, 78), (141, 92, 60), (110, 70, 48), (84, 54, 40),
  ], float,
)  # fmt: skip
_HAIR = np.array(
  [
    (28, 22, 20), (46, 32, 24), (74, 48, 30), (106, 68, 38), (146, 100, 54), (206, 166, 98),
    (232, 206, 150), (142, 62, 32), (150, 148, 146), (214, 212, 210), (40, 40, 48),
  ], float,
)  # fmt: skip
_CLOTH = np.array(
  [
    (214, 64, 58), (232, 108, 66), (242, 166, 62), (246, 206, 84), (142, 184, 84), (62, 146, 96),
    (44, 132, 138), (72, 166, 204), (58, 104, 178), (44, 62, 112), (108, 82, 160), (178, 92, 152),
    (230, 142, 164), (242, 238, 230), (206, 208, 210), (128, 132, 138), (62, 66, 72), (32, 34, 40),
    (152, 104, 72), (206, 184, 150), (130, 48, 62), (86, 96, 62), (182, 214, 226), (250, 226, 196),
  ], float,
)  # fmt: skip
_TROUSERS = np.array(
  [
    (46, 66, 106), (64, 90, 138), (96, 126, 168), (36, 40, 52), (28, 28, 32), (88, 92, 98),
    (178, 156, 120), (146, 124, 92), (96, 76, 58), (82, 92, 66), (226, 222, 212), (150, 152, 156),
    (116, 50, 56), (42, 82, 84),
  ], float,
)  # fmt: skip
_SHOE = np.array(
  [(30, 30, 34), (240, 240, 238), (92, 60, 40), (190, 60, 56), (58, 88, 150), (120, 124, 130)],
  float,
)
_LIP = np.array((-40.0, -62.0, -52.0))

_S = {name: i for i, name in enumerate(SLOTS)}


def _pick(palette: np.ndarray, u: np.ndarray) -> np.ndarray:
  return palette[(u * len(palette)).astype(int)]


def dress(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Choose clothes from uniform draws `[n, NUM_DRAWS]`; left and right are dressed alike.

  Returns:
    colours: float `[n, parts, 3]`, RGB 0..255.
    worn: bool `[n, parts]`: which parts are drawn at all.
  """
  n = len(u)
  slots = np.empty((n, len(SLOTS), 3))
  jitter = (u[:, :3] - 0.5) * 16
  skin = _pick(_SKIN, u[:, 3]) + jitter[:, :1]
  top = _pick(_CLOTH, u[:, 4]) + jitter
  bottom = np.where((u[:, 5] < 0.75)[:, None], _pick(_TROUSERS, u[:, 6]), _pick(_CLOTH, u[:, 6]))
  bottom = bottom - jitter
  slots[:, _S['skin']] = skin
  slots[:, _S['nose']] = skin * 0.95 + (6, -4, -6)
  slots[:, _S['mouth']] = skin + _LIP
  slots[:, _S['eye']] = np.array((34, 26, 24))
  slots[:, _S['hair']] = _pick(_HAIR, u[:, 7])
  slots[:, _S['top']] = top
  slots[:, _S['bottom']] = bottom
  slots[:, _S['band']] = _pick(_CLOTH, u[:, 8])
  slots[:, _S['pack']] = _pick(_CLOTH, u[:, 9]) * 0.85
  slots[:, _S['shoe']] = _pick(_SHOE, u[:, 10])

  sleeves, legs = u[:, 11], u[:, 12]
  long_sleeves = (sleeves < 0.42)[:, None]
  sleeveless = sleeves > 0.88
  skirt = legs > 0.86
  shorts = (legs > 0.58) & ~skirt
  long_legs = (~(shorts | skirt))[:, None]
  slots[:, _S['arm']] = slots[:, _S['forearm']] = np.where(long_sleeves, top, skin)
  slots[:, _S['thigh']] = slots[:, _S['shin']] = np.where(long_legs, bottom, skin)
  one_piece = (u[:, 13] < 0.5) & skirt
  slots[one_piece, _S['bottom']] = top[one_piece]

  worn = np.ones((n, len(PARTS)), bool)
  short_sleeved = ~(long_sleeves[:, 0] | sleeveless)
  for side in ('left', 'right'):
    worn[:, PART[f'{side}_sleeve']] = short_sleeved
    worn[:, PART[f'{side}_trunks']] = shorts
  worn[:, PART['skirt']] = skirt
  striped = u[:, 14]
  worn[:, PART['band0']] = worn[:, PART['band2']] = striped < 0.18
  worn[:, PART['band1']] = striped < 0.3
  worn[:, PART['collar']] = u[:, 15] < 0.75
  worn[:, PART['pack']] = u[:, 16] < 0.08
  bald = u[:, 17] < 0.07
  worn[:, PART['hair']] = ~bald
  worn[:, PART['mane']] = (u[:, 18] < 0.35) & ~bald
  worn[:, PART['fringe']] = (u[:, 19] < 0.75) & ~bald
  return slots[:, PART_SLOT], worn
