"""What is taken elsewhere: all that lies between crops and keypoints, as one function.

| input | value |
|---|---|
| `images` | uint8 `[B, H, W, 3]`, RGB: crops as `posejax.types` has them |
| `image_size` | int32 `[B, 2]`, (h, w) of the canvas that a picture fills, for detectors of two stages |
| `affines` | float32 `[B, 2, 3]`, a batch's `crop_to_image`, where keypoints in pictures are wanted |

| output | value |
|---|---|
| `keypoints` | float32 `[B, K, 2]`, pixels of the crop, or of the picture by the affines |
| `scores` | float32 `[B, K]`, as `task.infer` gives them |

A classifier has the `scores` alone, float32 `[B, C]`. A net that finds everything on a picture has M
things, the surest first and 0 where there are no more: `boxes` float32 `[B, M, 4]` (xyxy, by edges: pixel
i lies between i and i + 1), their `scores` `[B, M]` and `labels` int32 `[B, M]`, and where it finds
keypoints, `keypoints` `[B, M, K, 2]` and `keypoint_scores` `[B, M, K]`.
"""

from collections.abc import Callable, Mapping
import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from posejax.geometry import affine
from posejax.labels import LabelSpace
from posejax.types import Predictions, Variables

_TYPES = {'labels': jnp.int32}  # of outputs, beside float32
FORMAT = 1
"""Of the description that goes with a file; another number is another form."""
InferFn = Callable[..., Predictions]
"""`(variables, images uint8 [B, H, W, 3]) -> predictions`: `keypoints_crop`, `scores` and others."""


@dataclasses.dataclass(frozen=True)
class Pipeline:
  """Crops to keypoints; called with the inputs by name, it returns the outputs by name.

  Attributes:
    infer: normalises, applies the net (and the flip test) and decodes. Traced.
    variables: of the net.
    crop_size: (H, W) of the net's input.
    labels: what the keypoints are.
    in_image: whether keypoints are wanted in the pictures' frame, by affines.
    box_padding: how many times a box, brought to the crop's aspect, the crops show; of `posejax.tasks`.
    convention: where they lie to the pixel, of `posejax.geometry.affine.CONVENTIONS`.
    finds_all: whether the net finds everything on a whole picture at once.
    takes: names of what `infer` takes, in order; of `posejax.tasks`, its `inputs`.
  """

  infer: InferFn
  variables: Variables
  crop_size: tuple[int, int]
  labels: LabelSpace
  in_image: bool = False
  box_padding: float = 1.0
  convention: str = 'msra'
  finds_all: bool = False
  takes: tuple[str, ...] = ('images',)

  @property
  def outputs(self) -> tuple[str, ...]:
    """Return the names of the outputs."""
    keypoints = ('keypoints',) if self.labels.skeleton else ()
    if not self.finds_all:
      return (*keypoints, 'scores')
    points = ('keypoints', 'keypoint_scores') if keypoints else ()
    return ('boxes', 'scores', 'labels', *points)

  def __call__(self, **inputs: jax.Array) -> dict[str, jax.Array]:
    """Return keypoints and scores."""
    return self.apply(self.variables, inputs)

  def apply(self, variables: Variables, inputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Return keypoints and scores; the variables are an argument, to lie on the device."""
    predictions = self.infer(variables, *(inputs[name] for name in self.takes))
    found = {name: predictions[name] for name in self.outputs if name in predictions}
    if 'keypoints' in self.outputs:
      found['keypoints'] = self._placed(predictions['keypoints_crop'], inputs)
    if self.finds_all:
      corners = predictions['boxes'].reshape(*predictions['boxes'].shape[:-1], 2, 2)
      # Affines are about pixels' centres, half a pixel beside their edges.
      corners = self._placed(corners - 0.5, inputs) + 0.5
      found['boxes'] = corners.reshape(predictions['boxes'].shape)
    return {name: found[name].astype(_TYPES.get(name, jnp.float32)) for name in self.outputs}

  def _placed(self, points: jax.Array, inputs: Mapping[str, jax.Array]) -> jax.Array:
    """Return points `[B, ..., 2]` of crops where they are wanted."""
    if not self.in_image:
      return points
    between = tuple(range(1, points.ndim - 2))
    return affine.transform_points(points, jnp.expand_dims(inputs['affines'], between))

  def inputs(self, batch: Any = None) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the inputs' shapes and types, for a batch of any size unless one is given."""
    if batch is None:
      (batch,) = jax.export.symbolic_shape('B')
    shapes = {'images': jax.ShapeDtypeStruct((batch, *self.crop_size, 3), np.uint8)}
    if 'image_size' in self.takes:
      shapes['image_size'] = jax.ShapeDtypeStruct((batch, 2), np.int32)
    if self.in_image:
      shapes['affines'] = jax.ShapeDtypeStruct((batch, 2, 3), np.float32)
    return shapes

  def description(self) -> str:
    """Return JSON that says what a file holds, for those who have nothing but the file."""
    return json.dumps(
      {
        'format': FORMAT,
        'crop_size': list(self.crop_size),
        'box_padding': self.box_padding,
        'convention': self.convention,
        'frame': 'image' if self.in_image else 'crop',
        'inputs': list(self.inputs(1)),
        'outputs': list(self.outputs),
        'labels': self.labels.to_json(),
      }
    )
