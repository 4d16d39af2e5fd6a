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

# With fewer examples a batch norm's statistics are too noisy: an ImageNet error of 23.6, 23.7, 24.8 and
# 27.3 % at 32, 16, 8 and 4 a group. Source: Wu and He, "Group Normalization" (2018), table 2.
_ENOUGH = 16
_FEW_DEVICES = 8


def in_examples(config: Config, num_devices: int, num_hosts: int) -> Config:
  """Return the config with a number for the word of `model.bn_group_size`; one that fits the devices.

  Raises:
    PosejaxError: it is no word of the table, or a number that cuts the batch or a device's share.
  """
  given = config.model.get('bn_group_size')
  if given is None:
    return config
  batch = _at_once(config)
  share = batch // num_devices
  words = {'device': share, 'host': batch // num_hosts, 'global': batch}
  if isinstance(given, str) and given not in words:
    raise PosejaxError(
      f'config.model.bn_group_size={given!r} must be a number of examples or one of {tuple(words)}.'
      + nearest(given, words)
    )
  group = words.get(given, given)
  if not isinstance(group, int) or group < 1 or batch % group or (share % group and group % share):
    raise PosejaxError(
      f'config.model.bn_group_size={given!r} must divide the {_told(config)} and, on {num_devices} '
      f'devices, divide their share of {share} examples or be a multiple of it; try {share} or {batch}.'
    )
  return _with(config, group)


def chosen(config: Config, num_devices: int, is_new: bool) -> Config:
  """Return the config with what is meant where `model.bn_group_size` is unset.

  Args:
    config: with a number or nothing (`in_examples`).
    num_devices: of all processes.
    is_new: whether it starts a run; one that was begun without a number saw the whole batch.
  """
  if config.model.get('bn_group_size') is not None:
    return config
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


def _at_once(config: Config) -> int:
  """Return how many examples go through the net together, over all devices."""
  return config.batch_size // config.microbatches


def _told(config: Config) -> str:
  part = 'microbatch' if config.microbatches > 1 else 'batch'
  return f'{part} of {_at_once(config)}'


def _with(config: Config, group: int) -> Config:
  return dataclasses.replace(config, model={**config.model, 'bn_group_size': group})
