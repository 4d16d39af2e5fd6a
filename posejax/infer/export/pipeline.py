"""What is taken elsewhere: all that lies between crops and keypoints, as one function.

| input | value |
|---|---|
| `images` | uint8 `[B, H, W, 3]`, RGB: crops as `posejax.types` has them |
| `affines` | float32 `[B, 2, 3]`, a batch's `crop_to_image`, where keypoints in pictures are wanted |

| output | value |
|---|---|
| `keypoints` | float32 `[B, K, 2]`, pixels of the crop, or of the picture by the affines |
| `scores` | float32 `[B, K]`, as `task.infer` gives them |

A classifier has the `scores` alone, float32 `[B, C]`. A detector has `boxes` float32 `[B, M, 4]`, by
edges on the canvas, `scores` `[B, M]` and `labels` int32 `[B, M]`, the surest first and 0 where there are
no more, and where it finds them `keypoints` `[B, M, K, 2]` with `keypoint_scores` `[B, M, K]`.
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

FORMAT = 1
"""Of the description that goes with a file; another number is another form."""
InferFn = Callable[[Variables, jax.Array], Predictions]
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
    finds_all: whether the net is a detector's, of `posejax.tasks`; its frame is the canvas.
    convention: where they lie to the pixel, of `posejax.geometry.affine.CONVENTIONS`.
  """

  infer: InferFn
  variables: Variables
  crop_size: tuple[int, int]
  labels: LabelSpace
  in_image: bool = False
  box_padding: float = 1.0
  finds_all: bool = False
  convention: str = 'msra'

  def __call__(self, **inputs: jax.Array) -> dict[str, jax.Array]:
    """Return keypoints and scores."""
    return self.apply(self.variables, inputs)

  def apply(self, variables: Variables, inputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Return keypoints and scores; the variables are an argument, to lie on the device."""
    predictions = self.infer(variables, inputs['images'])
    if self.finds_all:
      outputs = {name: predictions[name] for name in ('boxes', 'scores', 'labels')}
      if 'keypoints_crop' in predictions:
        outputs['keypoints'] = predictions['keypoints_crop']
        outputs['keypoint_scores'] = predictions['keypoint_scores']
      return outputs
    found = {'scores': predictions['scores'].astype(jnp.float32)}
    if self.labels.skeleton is None:
      return found
    keypoints = predictions['keypoints_crop']
    if self.in_image:
      keypoints = affine.transform_points(keypoints, inputs['affines'])
    return {'keypoints': keypoints.astype(jnp.float32), **found}

  def inputs(self, batch: Any = None) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the inputs' shapes and types, for a batch of any size unless one is given."""
    if batch is None:
      (batch,) = jax.export.symbolic_shape('B')
    shapes = {'images': jax.ShapeDtypeStruct((batch, *self.crop_size, 3), np.uint8)}
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
        'outputs': self._outputs(),
        'labels': self.labels.to_json(),
      }
    )

  def _outputs(self) -> list[str]:
    points = ['keypoints'] if self.labels.skeleton else []
    if not self.finds_all:
      return [*points, 'scores']
    return ['boxes', 'scores', 'labels', *points, *('keypoint_scores' for _ in points)]
