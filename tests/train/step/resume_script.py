"""Train a tiny run on to some step, on the devices of all its processes; run by test_placement.py.

Each part prints the digests of this process's examples, batch by batch: of its steps, then of the
evaluation that ends it.
"""

import hashlib
import json
import shutil

from posejax import devices
from posejax.process import distributed
from posejax.train import loop
from posejax.train.step import placement
from tests import tiny

placement.SMALL = 64


def config(num_steps: int, state: int):
  return tiny.config(
    num_steps=num_steps,
    mesh__state=state,
    eval_every_steps=100,
    log_every_steps=1,
    task__flip=False,
    data__num_eval_examples=3,  # fewer than there are devices: some processes have none
    model={'name': 'regression_cnn', 'features': (8,), 'blocks': 0, 'hidden': 16},
    codec={'name': 'regression'},
    optimizer__schedule_steps=4,
    optimizer__ema_decay=0.9,
  )


def go_on(workdir: str, num_steps: int, state: int) -> None:
  """Train to a step with the state over so many neighbours, from the newest checkpoint if any."""
  distributed.initialize_from_environment()
  put_batch, seen = devices.put_batch, []

  def recorded(batch, mesh):
    seen.append([hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in batch['images']])
    return put_batch(batch, mesh)

  devices.put_batch = recorded
  loop.train(config(num_steps, state), workdir)
  devices.put_batch = put_batch
  print(json.dumps(seen))


def begin(workdir: str, copies: list[str]) -> None:
  """Train two steps with the state in parts, leave copies, and train two more with it whole."""
  go_on(workdir, 2, 4)
  for copy in copies:
    shutil.copytree(workdir, copy)
  go_on(workdir, 4, 1)
