"""Train a tiny run on to some step, on the devices of all its processes; run by test_placement.py.

Arguments: work directory, config.num_steps, config.mesh.state. Prints the digests of this process's
examples, batch by batch: of the steps, then of the evaluation that ends it.
"""

import hashlib
import json
import sys

from posejax import devices, distributed
from posejax.train import loop, placement
from tests import tiny

placement.SMALL = 64


def config(num_steps: int, state: int):
  return tiny.config(
    num_steps=num_steps,
    mesh__state=state,
    eval_every_steps=100,
    log_every_steps=1,
    task__flip=False,
    model={'name': 'regression_cnn', 'features': (8,), 'blocks': 0, 'hidden': 16},
    codec={'name': 'regression'},
    optimizer__schedule_steps=4,
    optimizer__ema_decay=0.9,
  )


def main():
  workdir, num_steps, state = sys.argv[1], *map(int, sys.argv[2:])
  distributed.initialize_from_environment()
  put_batch, seen = devices.put_batch, []

  def recorded(batch, mesh):
    seen.append([hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in batch['images']])
    return put_batch(batch, mesh)

  devices.put_batch = recorded
  loop.train(config(num_steps, state), workdir)
  print(json.dumps(seen))


if __name__ == '__main__':
  main()
