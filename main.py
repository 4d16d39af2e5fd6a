"""Train or evaluate an experiment: `python main.py --config=configs/pose_densenet.py`.

Any key of the config can be set by a flag: `--config.batch_size=64`, `--config.optimizer.name=sgd`.
"""

import time

_BEGAN = time.monotonic()  # before the slow imports: the times shown count from the command's start

from posejax.process import huge_pages  # noqa: E402

if __name__ == '__main__':
  huge_pages.use()  # before the slow imports too

import sys  # noqa: E402

from posejax.commands import experiment  # noqa: E402

if __name__ == '__main__':
  sys.exit(experiment.main(sys.argv[1:], _BEGAN))
