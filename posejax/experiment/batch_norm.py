"""Which examples batch norm takes its statistics of: `config.model.bn_group_size`.

| value | statistics of |
|---|---|
| `'global'` | all that goes through the net at once; devices exchange them at every batch norm |
| `'host'` | the examples of one process |
| `'device'` | the examples of one device, as the published recipes trained; nothing is exchanged |
| a number | so many examples, side by side in the batch |

Where a batch goes through the net in microbatches, each has groups of its own: `'global'` is a whole
microbatch. Running statistics move once a step, towards the mean over the groups of all of them.

A run keeps it as a number in its config, so that it computes the same when it goes on with other devices.
"""

import dataclasses

from posejax.config import Config
from posejax.errors import PosejaxError, nearest

WORDS = ('device', 'host', 'global')

# With fewer examples a batch norm's statistics are too noisy: an ImageNet error of 23.6, 23.7, 24.8 and
# 27.3 % at 32, 16, 8 and 4 a group. Source: Wu and He, "Group Normalization" (2018), table 2.
_ENOUGH = 16
_FEW_DEVICES = 8


def settle(config: Config, num_devices: int, num_hosts: int, is_new: bool) -> Config:
  """Return the config with what `model.bn_group_size` is in a run on these devices.

  Args:
    config: as it was given, or as a run that goes on has it (`posejax.runs.changes.continue_from`).
    num_devices: of all processes.
    num_hosts: processes.
    is_new: whether it starts a run; one that was begun without a number saw the whole batch.

  Raises:
    PosejaxError: it is no word of the table, or a number that cuts the batch or a device's share.
  """
  given = config.model.get('bn_group_size')
  if given is None:
    return _chosen(config, num_devices, is_new)
  batch = _at_once(config)
  share = batch // num_devices
  words = dict(zip(WORDS, (share, batch // num_hosts, batch), strict=True))
  if isinstance(given, str) and given not in words:
    raise PosejaxError(
      f'config.model.bn_group_size={given!r} must be a number of examples or one of {WORDS}.'
      + nearest(given, words)
    )
  group = words.get(given, given)
  fits = isinstance(group, int) and group > 0 and batch % group == 0
  if fits and not is_new and not _even(group, share):
    able = [n for n in range(1, batch + 1) if batch % n == 0 and _even(group, batch // n)]
    fewer, more = ([n for n in able if way * n > way * num_devices] for way in (-1, 1))
    near = [*fewer[-1:], *more[:1]]
    raise PosejaxError(
      f'The run computes batch norm over groups of {group} examples, which {num_devices} devices with '
      f'{share} of a {_told(config)} each do not divide evenly; go on with another number of devices, '
      f'such as {" or ".join(map(str, near))}.'
    )
  if not fits or not _even(group, share):
    raise PosejaxError(
      f'config.model.bn_group_size={given!r} must divide the {_told(config)} and, on {num_devices} '
      f'devices, divide their share of {share} examples or be a multiple of it; try {share} or {batch}.'
    )
  return _with(config, group)


def _chosen(config: Config, num_devices: int, is_new: bool) -> Config:
  """Return the config with what is meant where `model.bn_group_size` is unset."""
  share = _at_once(config) // num_devices
  if config.parallel == 'pmap':
    return _with(config, share)
  if num_devices <= _FEW_DEVICES or not is_new:
    return config
  spans = [n for n in range(1, num_devices + 1) if num_devices % n == 0 and n * share >= _ENOUGH]
  return _with(config, share * (spans[0] if spans else num_devices))


def describe(config: Config, num_devices: int) -> str:
  """Return what batch norm sees in one line, for the log."""
  batch = _at_once(config)
  group = config.model.get('bn_group_size') or batch
  if group == batch:
    text = f'of the whole {_told(config)}'
  else:
    text = f'of groups of {group} examples'
  across = max(group * num_devices // batch, 1)
  cost = f', exchanged between {across} devices at every layer' if across > 1 else ''
  return f'Batch norm: statistics {text}{cost}; config.model.bn_group_size sets it'


def _even(group: int, share: int) -> bool:
  return share % group == 0 or group % share == 0


def _at_once(config: Config) -> int:
  """Return how many examples go through the net together, over all devices."""
  return config.batch_size // config.microbatches


def _told(config: Config) -> str:
  part = 'microbatch' if config.microbatches > 1 else 'batch'
  return f'{part} of {_at_once(config)}'


def _with(config: Config, group: int) -> Config:
  return dataclasses.replace(config, model={**config.model, 'bn_group_size': group})
