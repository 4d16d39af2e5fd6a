"""From an example to the arrays of a batch: augment, crop, warp."""
