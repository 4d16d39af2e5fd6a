"""Train or evaluate an experiment: `python main.py --config=configs/pose_densenet.py`.

Any key of the config can be set by a flag: `--config.batch_size=64`, `--config.optimizer.name=sgd`.
"""

import time

_BEGAN = time.monotonic()  # before the slow imports: the times shown count from the command's start

from posejax import huge_pages  # noqa: E402

if __name__ == '__main__':
  huge_pages.use()  # before the slow imports too

import os  # noqa: E402
import sys  # noqa: E402

from absl import app, flags, logging  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from posejax import startup  # noqa: E402
from posejax.config import Config  # noqa: E402
from posejax.errors import PosejaxError  # noqa: E402
from posejax.runs import workdirs  # noqa: E402

_CONFIG = config_flags.DEFINE_config_file(
  'config',
  None,
  "The experiment; the work directory's own where unset.",
  # Sections such as config.model have keys that no config file lists; Config refuses unknown ones.
  lock_config=False,
  accept_new_attributes=True,
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where results go; runs/<config name> where unset.')
_MODE = flags.DEFINE_enum(
  'mode', 'train', ['train', 'eval'], 'Train, or evaluate a work directory.'
)
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'best', "With --mode=eval: 'best', 'latest' or a step."
)
_CACHE = flags.DEFINE_string(
  'compilation_cache',
  startup.DEFAULT_CACHE,
  'Where compiled programs are kept between runs; empty for nowhere.',
)


def _config_and_workdir() -> tuple[Config, str]:
  """Return what to run and where; either says the other."""
  if _CONFIG.value is not None:
    return Config.from_dict(_CONFIG.value.to_dict()), _WORKDIR.value or _default_workdir()
  config = workdirs.read_config(_WORKDIR.value) if _WORKDIR.value else None
  if config is None:
    raise PosejaxError(
      'Name an experiment, --config=configs/NAME.py, or the --workdir of a run to go on with'
      + (f'; {_WORKDIR.value} has no config.json.' if _WORKDIR.value else '.')
    )
  return config, _WORKDIR.value


def _default_workdir() -> str:
  path, _, argument = flags.FLAGS['config'].config_filename.partition(':')
  name = os.path.splitext(os.path.basename(path))[0]
  return os.path.join('runs', '-'.join([name, *argument.replace(',', '-').split()]))


def main(argv: list[str]) -> None:
  """Run what the flags ask for."""
  if len(argv) > 1:
    raise PosejaxError(f'Unexpected arguments {argv[1:]}; every setting is a flag, --name=value.')
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.WARNING)  # Orbax tells of every phase of every save
  startup.begin(_CACHE.value)
  config, workdir = _config_and_workdir()
  if _MODE.value == 'eval':
    from posejax.train.evaluate_workdir import evaluate_workdir

    # The run's own config holds, but for what this command line sets.
    named = _CONFIG.value is not None
    overrides = config_flags.get_override_values(flags.FLAGS['config']) if named else {}
    evaluate_workdir(workdir, _CHECKPOINT.value, overrides)
  else:
    from posejax.train.loop import train

    train(config, workdir, _BEGAN)


def _parse_flags(argv: list[str]) -> list[str]:
  """Parse flags; errors of the config file and its overrides become one line."""
  try:
    remaining = app.parse_flags_with_usage(argv)
    _CONFIG.value and _CONFIG.value.to_dict()  # a file that is not there shows only on access
    return remaining
  except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
    sys.exit(f'config: {str(error).strip()}')
  except PosejaxError as error:
    sys.exit(f'config: {error}')


def _run(argv: list[str]) -> None:
  try:
    main(argv)
  except PosejaxError as error:
    sys.exit(f'Error: {error}')


if __name__ == '__main__':
  app.run(_run, flags_parser=_parse_flags)
