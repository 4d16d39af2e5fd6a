"""State in parts over devices: results as of whole ones, exchanges by hand, and layouts that change."""

import itertools
import json
import os

import jax
from jax.sharding import PartitionSpec
import numpy as np
import pytest

from posejax import devices
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.changes import continue_from
from posejax.train.step import placement
from tests import processes, tiny

BEGIN = 'from tests.train.step import resume_script; resume_script.begin(*{})'
GO_ON = 'from tests.train.step import resume_script; resume_script.go_on(*{})'


@pytest.fixture(scope='module')
def layouts():
  """Return what layouts_script.py prints."""
  return processes.on_host_devices(
    'from tests.train.step import layouts_script; layouts_script.main()', 8
  )


@pytest.mark.parametrize(
  ('shape', 'parts', 'expected'),
  [
    ((3, 3, 256, 128), 4, 2),
    ((3, 3, 64, 256), 4, 2),  # not the outputs
    ((3, 3, 250, 128), 4, 3),  # if the others can be
    ((128, 128, 3, 5), 4, 1),  # of equals the last
    ((2**14,), 2, 0),
    ((2**14 - 2,), 2, None),  # small
    ((129, 255), 2, None),
    ((3, 3, 256, 128), 1, None),
    ((), 4, None),
  ],
)
def test_the_longest_side_that_can_be_is_cut_but_for_outputs(shape, parts, expected):
  assert placement.axis_of(shape, parts) == expected


def test_a_partition_names_the_axis_that_is_cut():
  tree = {'kernel': jax.ShapeDtypeStruct((5, 256, 64), 'float32'), 'bias': np.zeros(64)}
  expected = {'kernel': PartitionSpec(None, 'state'), 'bias': PartitionSpec()}
  assert placement.specs(tree, 8) == expected


@pytest.mark.parametrize(
  'name',
  [
    *[f'adam, {layout}' for layout in ('8 x 1', '2 x 4', '1 x 8')],
    'lamb, 2 x 4',
    'muon, 2 x 4',
    'microbatches, 2 x 4',
    'microbatches and batch norm',
    'loss over a count, in 1',
    'loss over a count, in 2',
    'of slices',
    'of slices, 2 x 4',
  ],
)
def test_eight_devices_learn_what_one_does(layouts, name):
  assert layouts[name]['difference'] < 1e-4


def test_the_differences_could_tell(layouts):
  assert layouts['another computation']['difference'] > 1e-2


def test_parts_are_held_and_gathered_by_hand(layouts):
  whole, parts = layouts['adam, 8 x 1'], layouts['adam, 2 x 4']
  assert whole['held'] == 1
  assert whole['collectives'] == {'all-reduce': 1}
  assert parts['held'] < 0.3
  # Of two kernels; one average of what is whole, one of parts, and one of the squares of norms.
  assert parts['collectives'] == {'all-gather': 2, 'reduce-scatter': 2, 'all-reduce': 3}
  assert set().union(*(one['collectives'] for one in layouts.values())) == {
    *('all-gather', 'reduce-scatter', 'all-reduce')
  }


def test_slices_exchange_as_much_at_once(layouts):
  for name, same in (
    ('of slices', 'microbatches and batch norm'),
    ('of slices, 2 x 4', 'adam, 2 x 4'),
  ):
    assert layouts[name]['collectives'] == layouts[same]['collectives']


def test_microbatches_exchange_once(layouts):
  assert layouts['microbatches, 2 x 4']['collectives'] == layouts['adam, 2 x 4']['collectives']
  # And a batch norm twice for each of two.
  assert layouts['microbatches and batch norm']['collectives'] == {'all-reduce': 1 + 2 * 2}
  # A count is exchanged before what is learnt.
  whole = layouts['adam, 2 x 4']['collectives']
  for number in (1, 2):
    counted = layouts[f'loss over a count, in {number}']['collectives']
    assert counted == {**whole, 'all-reduce': whole['all-reduce'] + 1}


def test_a_mesh_that_does_not_divide_is_refused_with_a_proposal():
  found = jax.devices() * 6
  with pytest.raises(
    PosejaxError, match=r'config\.mesh\.state=4 must divide the 6 .*; try 3 or 6\.'
  ):
    devices.make_mesh(found, 4)
  with pytest.raises(PosejaxError, match=r'state=7 .*; try 6\.'):
    devices.make_mesh(found, 7)
  with pytest.raises(PosejaxError, match=r'config\.mesh\.state=0 must be at least 1'):
    Config.from_dict({'mesh': {'state': 0}})
  with pytest.raises(PosejaxError, match=r'48 .* by 8 devices x 4 microbatches; try 32 or 64\.'):
    devices.check_batch_size('batch_size', 48, 8, 4)


def test_a_run_may_go_on_in_another_layout_and_with_blocks_computed_anew():
  new = tiny.config(mesh__state=4, model__remat=True)
  assert continue_from(new, tiny.config(), 'somewhere') == new
  with pytest.raises(PosejaxError, match='config.microbatches: 1 there, 2 now'):
    continue_from(tiny.config(microbatches=2), tiny.config(), 'somewhere')


def test_a_run_in_parts_goes_on_with_other_devices_and_processes(tmp_path):
  eight, four, two = (str(tmp_path / name) for name in ('eight', 'four', 'two'))
  batches = processes.on_host_devices(BEGIN.format((eight, [four, two])), 8)[:2]
  assert processes.on_host_devices(GO_ON.format((four, 4, 2)), 4)[:2] == batches
  by_process = [json.loads(line) for line in processes.last_lines(GO_ON.format((two, 4, 2)))]
  together = [list(itertools.chain(*rows)) for rows in zip(*by_process, strict=True)]
  assert together[:2] == batches

  for other in (four, two):
    assert losses(other) == pytest.approx(losses(eight), rel=1e-4)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      checkpoint.restore_variables(eight),
      checkpoint.restore_variables(other),
    )


def losses(workdir):
  with open(os.path.join(workdir, 'metrics.jsonl'), encoding='utf-8') as rows:
    return [row['loss'] for row in map(json.loads, rows) if 'loss' in row]
