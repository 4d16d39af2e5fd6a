import numpy as np

from posejax.ops import anchors as anchors_lib


def test_shapes_have_the_area_and_the_ratio():
  cells = anchors_lib.cell_anchors(32, (0.5, 1.0, 2.0))
  # As torchvision prints them for size 32.
  np.testing.assert_array_equal(cells, [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]])


def test_halves_are_rounded_to_even_ones():
  np.testing.assert_array_equal(anchors_lib.cell_anchors(5, (1.0,)), [[-2, -2, 2, 2]])
  np.testing.assert_array_equal(anchors_lib.cell_anchors(7, (1.0,)), [[-4, -4, 4, 4]])


def test_cells_go_row_by_row_and_shapes_within_them():
  cells = anchors_lib.cell_anchors(16, (0.5, 2.0))
  got = np.asarray(anchors_lib.grid_anchors((2, 3), (8, 4), cells))
  expected = [
    cells[shape] + [4 * x, 8 * y, 4 * x, 8 * y]
    for y in range(2)
    for x in range(3)
    for shape in range(2)
  ]
  np.testing.assert_array_equal(got, expected)
