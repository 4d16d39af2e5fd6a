import dataclasses
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from posejax.errors import PosejaxError
from posejax.runs import checkpoint, control, saved_run
from posejax.train.step import state
from tests import processes, tiny


def make_state(width=4, ema_decay=0.9, step=0):
  params = {'layer': {'kernel': jnp.arange(3.0 * width).reshape(3, width)}}
  variables = {'params': params, 'batch_stats': {'mean': jnp.full(3, 7.0)}}
  made = state.create(variables, optax.scale_by_adam(), ema_decay)
  return made.replace(step=jnp.int32(step))


def test_latest_and_best_are_kept_and_come_back_bit_for_bit(tmp_path):
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    for step in range(1, 6):
      saved = make_state(step=step)
      saved = saved.replace(params=jax.tree.map(lambda p, s=step: p + s, saved.params))
      checkpointer.save(saved.to_arrays(), {'note': step, 'nothing': None}, best_step=min(step, 2))
  assert checkpoint.available_steps(str(tmp_path)) == [2, 5]

  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    restored = state.TrainState.from_arrays(checkpointer.restore_arrays(make_state().to_arrays()))
  assert checkpoint.read_meta(str(tmp_path)) == {'note': 5, 'nothing': None}
  jax.tree.map(np.testing.assert_array_equal, restored, saved)
  assert jax.tree.structure(restored) == jax.tree.structure(saved)

  arrays, meta = checkpoint.restore_with_meta(str(tmp_path), step=2)
  assert (int(arrays['step']), meta['note']) == (2, 2)
  np.testing.assert_array_equal(arrays['params']['layer']['kernel'][0], [2, 3, 4, 5])


def test_the_state_may_be_donated_as_soon_as_save_returns(tmp_path):
  consume = jax.jit(lambda s: jax.tree.map(lambda a: a + 100, s), donate_argnums=0)
  saved = make_state(width=50_000, step=1)
  expected = jax.tree.map(np.array, saved)
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    checkpointer.save(saved.to_arrays(), {}, None)
    consume(saved)
  restored = checkpoint.restore(str(tmp_path))
  np.testing.assert_array_equal(
    restored['params']['layer']['kernel'], expected.params['layer']['kernel']
  )


def test_another_model_is_refused_naming_the_arrays(tmp_path):
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    checkpointer.save(make_state(step=1).to_arrays(), {}, None)
    checkpointer.wait()
    with pytest.raises(PosejaxError) as error:
      checkpointer.restore_arrays(make_state(width=5, ema_decay=None).to_arrays())
  message = str(error.value)
  assert 'params/layer/kernel: (3, 4) in the checkpoint, (3, 5) expected' in message
  assert 'ema_params/layer/kernel: (3, 4) in the checkpoint, absent expected' in message


def test_no_checkpoint_says_what_to_do(tmp_path):
  with pytest.raises(PosejaxError, match='There is no checkpoint under .*Train first'):
    checkpoint.restore(str(tmp_path))


def damaged(workdir, name):
  """Cut every file in a part of the newest of two checkpoints in half, as a dying disk does."""
  with checkpoint.Checkpointer(str(workdir)) as checkpointer:
    for step in (1, 2):
      checkpointer.save(make_state(width=500, step=step).to_arrays(), {'note': step}, 1)
  for path in (workdir / 'checkpoints' / '2' / name).rglob('*'):
    if path.is_file():
      os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize('name', ['meta', 'state'])
def test_a_damaged_checkpoint_is_named_with_the_remedy(tmp_path, name):
  damaged(tmp_path, name)
  said = r'checkpoints/2 is damaged \(.*\)\. Delete that folder; .* goes on from step 1\.'
  with (
    pytest.raises(PosejaxError, match=said),
    checkpoint.Checkpointer(str(tmp_path)) as checkpointer,
  ):
    checkpoint.read_meta(str(tmp_path))
    checkpointer.restore_arrays(make_state(width=500).to_arrays())
  with pytest.raises(PosejaxError, match=said):
    checkpoint.restore_with_meta(str(tmp_path))
  # What it says helps.
  shutil.rmtree(tmp_path / 'checkpoints' / '2')
  _, meta = checkpoint.restore_with_meta(str(tmp_path))
  assert meta == {'note': 1}


def test_a_checkpoint_that_its_run_deletes_while_it_is_looked_at_is_not_damaged(
  tmp_path, monkeypatch
):
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    checkpointer.save(make_state(step=1).to_arrays(), {'note': 1}, None)
  listed = checkpoint.available_steps

  def replaced(workdir):
    steps = listed(workdir)
    if steps == [1]:
      with checkpoint.Checkpointer(workdir) as checkpointer:
        checkpointer.save(make_state(step=2).to_arrays(), {'note': 2}, None)
      assert listed(workdir) == [2]
    return steps

  monkeypatch.setattr(checkpoint, 'available_steps', replaced)
  assert checkpoint.read_meta(str(tmp_path)) == {'note': 2}
  # Of a shared folder the list may be old.
  monkeypatch.setattr(checkpoint, 'available_steps', lambda workdir: [1])
  with pytest.raises(PosejaxError, match=r'checkpoints/1 is gone: .* Try again'):
    checkpoint.read_meta(str(tmp_path))


# A process of its own: Orbax leaves reads under way when one fails, and they complain on their end.
READ = """
import sys
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from tests.runs.test_checkpoint import make_state

for workdir in sys.argv[1:]:
  try:
    with checkpoint.Checkpointer(workdir) as checkpointer:
      checkpointer.restore_arrays(make_state(width=500).to_arrays())
  except PosejaxError as error:
    print(str(error).replace(chr(10), ' '))
"""


def test_damaged_arrays_are_named_with_the_remedy_too(tmp_path):
  names = ('d', 'ocdbt.process_0/d')
  for i, name in enumerate(names):
    damaged(tmp_path / str(i), f'state/{name}')
  folders = [str(tmp_path / str(i)) for i in range(len(names))]
  result = subprocess.run(
    [sys.executable, '-c', READ, *folders], capture_output=True, text=True, timeout=120, check=False
  )
  lines = result.stdout.splitlines()
  assert len(lines) == len(folders), result.stderr[-3000:]
  for line, folder in zip(lines, folders, strict=True):
    assert f'{folder}/checkpoints/2 is damaged' in line
    assert 'Delete that folder; the same command then goes on from step 1.' in line


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(tmp_path):
  damaged(tmp_path, 'nothing')
  meta = tmp_path / 'checkpoints' / '2' / 'meta' / 'metadata'
  meta.unlink()
  meta.mkdir()  # an OSError of another kind than that of a file that is gone
  with pytest.raises(IsADirectoryError):
    checkpoint.read_meta(str(tmp_path))


def test_what_a_kill_left_half_written_is_swept(tmp_path):
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    checkpointer.save(make_state(step=1).to_arrays(), {}, None)
  half = tmp_path / 'checkpoints' / '2.orbax-checkpoint-tmp'
  os.makedirs(half / 'state')
  (half / 'state' / 'rubbish').write_text('cut off')
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    assert checkpointer.latest_step() == 1
    checkpointer.save(make_state(step=2).to_arrays(), {}, None)
  assert checkpoint.available_steps(str(tmp_path)) == [2]
  assert not half.exists()


@pytest.mark.parametrize(
  ('num_steps', 'patience', 'since', 'expected'),
  [(4, 0, 0, 4), (3, 0, 0, 4), (5, 0, 0, None), (5, 2, 1, None), (5, 2, 2, 4)],
)
def test_a_run_is_finished_after_its_last_step_or_when_its_patience_ran_out(
  tmp_path, num_steps, patience, since, expected
):
  config = tiny.config(num_steps=num_steps, early_stopping__patience=patience)
  assert checkpoint.finished_step(str(tmp_path), config) is None
  watching = control.Control.create(config, 'PCK@0.20/torso', 'max')
  watching.early.since = since
  meta = {'control': dataclasses.asdict(watching), 'evaluated_step': 4}
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    checkpointer.save(make_state(step=4).to_arrays(), meta, None)
  assert checkpoint.finished_step(str(tmp_path), config) == expected


def test_a_run_whose_last_step_was_not_evaluated_is_not_finished(tmp_path):
  control_meta = dataclasses.asdict(control.Control.create(tiny.config(), 'AUC/torso', 'max'))
  for evaluated_step, expected in ((2, None), (4, 4)):
    # The second time the step has a checkpoint: its arrays stay, what is said of it is replaced.
    with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
      meta = {'control': control_meta, 'evaluated_step': evaluated_step}
      checkpointer.save(make_state(step=4).to_arrays(), meta, None)
    assert checkpoint.finished_step(str(tmp_path), tiny.config(num_steps=4)) == expected
    assert checkpoint.read_meta(str(tmp_path)) == meta
  restored = checkpoint.restore(str(tmp_path))
  np.testing.assert_array_equal(restored['ema_params']['layer']['kernel'][0], [0, 1, 2, 3])


def test_what_a_net_is_used_with_is_read_once_and_without_the_optimiser(tmp_path, monkeypatch):
  with checkpoint.Checkpointer(str(tmp_path)) as checkpointer:
    for step in (1, 2):
      meta = {'config': tiny.config().to_dict(), 'control': {'best': {'step': 1, 'value': 0.5}}}
      saved = make_state(step=step)
      checkpointer.save(saved.to_arrays(), meta, 1)
  read, restore = [], ocp.PyTreeCheckpointHandler.restore

  def counted(self, directory, args):
    read.append((directory.parent.name, set(args.item)))
    return restore(self, directory, args=args)

  monkeypatch.setattr(ocp.PyTreeCheckpointHandler, 'restore', counted)
  run = saved_run.read(str(tmp_path), 'best')
  assert read == [('1', {'ema_params', 'model_state'})]
  assert set(run.variables) == {'params', 'batch_stats'}
  np.testing.assert_array_equal(
    run.variables['params']['layer']['kernel'], saved.ema_params['layer']['kernel']
  )


ON_TWO = """
import jax
import numpy as np
from posejax import devices
from posejax.process import distributed
from posejax.runs import checkpoint

distributed.initialize_from_environment()
devices._PIECE_BYTES = 64  # several
whole = devices.replicated(devices.make_mesh())
values = {{
  'params': np.array([-0.0, 1.5, np.nan, 3e-45] * 30, np.float32).reshape(8, 15),
  'half': np.arange(5).astype(jax.numpy.bfloat16),
  'step': np.int32(7),
}}
saved = jax.jit(lambda: jax.tree.map(jax.numpy.asarray, values), out_shardings=whole)()
reads = []
restore_on_host = checkpoint._restore_on_host
checkpoint._restore_on_host = lambda *args: reads.append(1) or restore_on_host(*args)
with checkpoint.Checkpointer({workdir!r}) as checkpointer:
  checkpointer.save(saved, {{}}, None)
  checkpointer.wait()
  like = devices.placed_shapes(saved, jax.tree.map(lambda a: whole, saved))
  found = checkpointer.restore_arrays(like)
for name, value in values.items():
  assert np.asarray(found[name]).tobytes() == value.tobytes(), name
  assert (found[name].dtype, found[name].sharding) == (value.dtype, whole)
print(len(reads))
"""


def test_one_process_reads_for_all_and_every_bit_arrives(tmp_path):
  assert processes.last_lines(ON_TWO.format(workdir=str(tmp_path))) == ['1', '0']
