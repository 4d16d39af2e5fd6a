"""What detectors compute between their nets: pure JAX with static shapes, ignorant of any net.

Boxes are float32 `[..., 4]`, xyxy in continuous coordinates: the width is `x2 - x1`, and a picture of h
by w pixels goes from 0 to w and from 0 to h, its first pixel's centre at 0.5. Boxes of `posejax.types`,
whose pixel centres are integers, lie half a pixel lower.
"""
