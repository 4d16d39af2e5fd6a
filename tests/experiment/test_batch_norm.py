"""Which examples batch norm sees: words, numbers, what is chosen, and what does not fit."""

import pytest

from posejax.errors import PosejaxError
from posejax.experiment import batch_norm
from posejax.runs.changes import continue_from
from tests import tiny


def group(config):
  return config.model.get('bn_group_size')


@pytest.mark.parametrize(
  ('given', 'expected'),
  [('device', 32), ('host', 128), ('global', 1024), (8, 8), (32, 32), (64, 64)],
)
def test_words_become_numbers_of_examples(given, expected):
  config = tiny.config(batch_size=1024, model__bn_group_size=given)
  assert group(batch_norm.settle(config, 32, 8, is_new=True)) == expected


@pytest.mark.parametrize(
  ('given', 'expected'), [('device', 8), ('host', 32), ('global', 256), (None, 16)]
)
def test_a_group_has_examples_of_one_microbatch(given, expected):
  config = tiny.config(batch_size=1024, microbatches=4, model__bn_group_size=given)
  config = batch_norm.settle(config, 32, 8, is_new=True)
  assert group(config) == expected  # unset: two devices have enough
  with pytest.raises(PosejaxError, match='must divide the microbatch of 256 and, on 32 .* of 8 '):
    config = tiny.config(batch_size=1024, microbatches=4, model__bn_group_size=512)
    batch_norm.settle(config, 32, 8, is_new=True)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ('devise', "bn_group_size='devise' must be .* Did you mean 'device'"),
    (48, 'bn_group_size=48 must divide the batch of 96 .* share of 32 .*; try 32 or 96'),
    (24, 'bn_group_size=24 must divide .* divide their share of 32'),
    (0, 'bn_group_size=0'),
    (2.5, r'bn_group_size=2\.5'),
  ],
)
def test_what_does_not_fit_is_named(given, message):
  config = tiny.config(batch_size=96, model__bn_group_size=given)
  with pytest.raises(PosejaxError, match=message):
    batch_norm.settle(config, 3, 1, is_new=True)


@pytest.mark.parametrize(
  ('num_devices', 'share', 'expected'),
  [
    (1, 32, None),
    (8, 4, None),
    (16, 32, 32),
    (256, 16, 16),
    (256, 8, 16),
    (256, 3, 24),  # the fewest devices that have 16 examples and divide 256
    (9, 1, 9),
  ],
)
def test_many_devices_exchange_nothing_if_each_has_enough(num_devices, share, expected):
  config = tiny.config(batch_size=num_devices * share)
  assert group(batch_norm.settle(config, num_devices, 1, is_new=True)) == expected


def test_what_was_begun_or_set_is_kept():
  config = tiny.config(batch_size=512)
  assert group(batch_norm.settle(config, 16, 1, is_new=False)) is None
  assert group(batch_norm.settle(tiny.config(parallel='pmap'), 4, 1, is_new=False)) == 2
  begun = batch_norm.settle(config, 16, 1, is_new=True)
  assert group(batch_norm.settle(begun, 4, 1, is_new=False)) == 32
  assert group(continue_from(config, begun, 'somewhere')) == 32
  other = tiny.config(batch_size=512, model__bn_group_size=64)
  with pytest.raises(PosejaxError, match='model.bn_group_size: 32 there, 64 now'):
    continue_from(other, begun, 'somewhere')
  # A word meant the devices that the run began with.
  for word in batch_norm.WORDS:
    again = tiny.config(batch_size=512, model__bn_group_size=word)
    assert group(continue_from(again, begun, 'somewhere')) == 32


def test_a_run_that_goes_on_on_devices_that_cut_its_groups_is_told_which_would_not():
  begun = batch_norm.settle(tiny.config(batch_size=96, parallel='pmap'), 6, 1, is_new=True)
  assert group(begun) == 16
  with pytest.raises(
    PosejaxError, match='groups of 16 examples, which 4 devices .* such as 3 or 6'
  ):
    batch_norm.settle(begun, 4, 1, is_new=False)


@pytest.mark.parametrize(
  ('given', 'told'),
  [
    (None, 'of the whole batch of 1024, exchanged between 32 devices'),
    (64, 'of groups of 64 examples, exchanged between 2 devices'),
    (16, 'of groups of 16 examples; config.model.bn_group_size sets it'),
  ],
)
def test_the_log_says_what_it_is(given, told):
  config = tiny.config(batch_size=1024, model__bn_group_size=given)
  assert told in batch_norm.describe(config, 32)


def test_the_log_tells_of_microbatches():
  told = batch_norm.describe(tiny.config(batch_size=64, microbatches=4), 2)
  assert 'of the whole microbatch of 16, exchanged between 2 devices' in told
