"""Dress a figure: colours of skin, hair and clothes, and which garments are worn."""

import numpy as np

from posejax.data.synthetic.outline import PART, PART_SLOT, PARTS, SLOTS

NUM_DRAWS = 20
"""How many uniform draws `dress` takes per person."""

# RGB.
_PALETTES = {
  'skin': (
    (255, 224, 196), (245, 208, 174), (234, 190, 152), (222, 171, 127), (198, 143, 99),
    (172, 117, 78), (141, 92, 60), (110, 70, 48), (84, 54, 40),
  ),
  'hair': (
    (28, 22, 20), (46, 32, 24), (74, 48, 30), (106, 68, 38), (146, 100, 54), (206, 166, 98),
    (232, 206, 150), (142, 62, 32), (150, 148, 146), (214, 212, 210), (40, 40, 48),
  ),
  'cloth': (
    (214, 64, 58), (232, 108, 66), (242, 166, 62), (246, 206, 84), (142, 184, 84), (62, 146, 96),
    (44, 132, 138), (72, 166, 204), (58, 104, 178), (44, 62, 112), (108, 82, 160), (178, 92, 152),
    (230, 142, 164), (242, 238, 230), (206, 208, 210), (128, 132, 138), (62, 66, 72), (32, 34, 40),
    (152, 104, 72), (206, 184, 150), (130, 48, 62), (86, 96, 62), (182, 214, 226), (250, 226, 196),
  ),
  'trousers': (
    (46, 66, 106), (64, 90, 138), (96, 126, 168), (36, 40, 52), (28, 28, 32), (88, 92, 98),
    (178, 156, 120), (146, 124, 92), (96, 76, 58), (82, 92, 66), (226, 222, 212), (150, 152, 156),
    (116, 50, 56), (42, 82, 84),
  ),
  'shoe': (
    (30, 30, 34), (240, 240, 238), (92, 60, 40), (190, 60, 56), (58, 88, 150), (120, 124, 130),
  ),
  'eye': ((34, 26, 24),),
}  # fmt: skip
_COLOURS = np.array([c for palette in _PALETTES.values() for c in palette], float)
_SIZE = {name: len(palette) for name, palette in _PALETTES.items()}
_START = dict(zip(_SIZE, np.cumsum([0, *_SIZE.values()]).tolist(), strict=False))

# Which palette fills which slot; slots of bare or clothed limbs are filled afterwards.
_FROM = {
  'skin': 'skin', 'nose': 'skin', 'mouth': 'skin', 'arm': 'skin', 'forearm': 'skin',
  'thigh': 'skin', 'shin': 'skin', 'hair': 'hair', 'top': 'cloth', 'bottom': 'trousers',
  'band': 'cloth', 'pack': 'cloth', 'shoe': 'shoe', 'eye': 'eye',
}  # fmt: skip
_DRAW_OF = {'hair': 1, 'top': 2, 'bottom': 3, 'band': 4, 'pack': 5, 'shoe': 6, 'eye': 7}
_SLOT_START = np.array([_START[_FROM[s]] for s in SLOTS])
_SLOT_SIZE = np.array([_SIZE[_FROM[s]] for s in SLOTS])
_SLOT_DRAW = np.array([_DRAW_OF.get(s, 0) for s in SLOTS])  # all skin from one draw
_S = {name: i for i, name in enumerate(SLOTS)}
_SHIFT = np.zeros((len(SLOTS), 3))
_SHIFT[_S['nose']] = (-4, -12, -14)
_SHIFT[_S['mouth']] = (-40, -62, -52)
_TINT = np.array([s not in ('eye', 'shoe', 'hair') for s in SLOTS], float)[:, None] * 16
_SLEEVES, _TRUNKS = (
  [PART[f'{s}_{garment}'] for s in ('left', 'right')] for garment in ('sleeve', 'trunks')
)
_ARMS, _LEGS = [_S['arm'], _S['forearm']], [_S['thigh'], _S['shin']]


def dress(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Choose clothes from uniform draws `[n, NUM_DRAWS]`; left and right are dressed alike.

  Returns:
    colours: float `[n, parts, 3]`, RGB 0..255 (a little outside is possible).
    worn: bool `[n, parts]`: which parts are drawn at all.
  """
  choice = _SLOT_START + (u[:, _SLOT_DRAW] * _SLOT_SIZE).astype(int)
  slots = _COLOURS[choice] + _SHIFT + _TINT * (u[:, None, 8:9] - 0.5)
  worn = np.ones((len(u), len(PARTS)), bool)
  for person, clothes, v in zip(slots, worn, u[:, 9:].tolist(), strict=True):
    sleeves, legs, pattern, collar, pack, bald, mane, fringe, one_piece = v[:9]
    if legs > 0.86 and one_piece < 0.5:
      person[_S['bottom']] = person[_S['top']]
    if sleeves < 0.42:
      person[_ARMS] = person[_S['top']]
    if not 0.42 <= sleeves < 0.88:
      clothes[_SLEEVES] = False
    if legs < 0.58:
      person[_LEGS] = person[_S['bottom']]
    if not 0.58 <= legs < 0.86:
      clothes[_TRUNKS] = False
    clothes[PART['skirt']] = legs >= 0.86
    clothes[PART['band0']] = clothes[PART['band2']] = pattern < 0.18
    clothes[PART['band1']] = pattern < 0.3
    clothes[PART['collar']] = collar < 0.75
    clothes[PART['pack']] = pack < 0.08
    clothes[PART['hair']] = bald > 0.07
    clothes[PART['mane']] = bald > 0.07 and mane < 0.35
    clothes[PART['fringe']] = bald > 0.07 and fringe < 0.75
  return slots[:, PART_SLOT], worn
