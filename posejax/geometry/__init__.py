"""Affine maps and boxes: pure functions of points, boxes and matrices."""
