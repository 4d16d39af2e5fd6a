import pytest

from posejax.config import resolve
from posejax.errors import PosejaxError
from posejax.runs import changes
from tests import tiny


def test_only_length_and_looking_may_change_when_a_run_goes_on():
  old = resolve(tiny.config(num_steps=4))
  new = tiny.config(num_steps=9, log_every_steps=1, eval_every_steps=3, checkpoint_every_steps=3)
  continued = changes.continue_from(new, old, 'runs/x')
  assert continued.num_steps == 9
  assert continued.optimizer.schedule_steps == 4, 'the schedule stays laid out over the first run'

  other = tiny.config(batch_size=16, optimizer__learning_rate=1e-2)
  with pytest.raises(PosejaxError) as error:
    changes.continue_from(other, old, 'runs/x')
  assert 'config.batch_size: 8 there, 16 now' in str(error.value)
  assert 'config.optimizer.learning_rate: 0.003 there, 0.01 now' in str(error.value)
  assert 'runs/x' in str(error.value)


def test_data_may_lie_elsewhere_when_a_run_goes_on():
  parts = {'lsp': {'manual_dir': 'a', 'repeat': 2}}
  old = resolve(tiny.config(data__manual_dir='a', data__parts=parts))
  moved = {'lsp': {'manual_dir': 'b', 'repeat': 2}}
  places = {f'data__{key}': 'b' for key in ('manual_dir', 'data_dir', 'images', 'eval__images')}
  new = tiny.config(data__parts=moved, evaluate__detections='b', **places)
  assert changes.continue_from(new, old, 'runs/x').data.images == 'b'
  other = {'lsp': {'manual_dir': 'a', 'repeat': 3}}
  with pytest.raises(PosejaxError, match=r'config\.data\.parts\.lsp\.repeat: 2 there, 3 now'):
    changes.continue_from(tiny.config(data__parts=other), old, 'runs/x')


def test_what_an_evaluation_may_set():
  run = tiny.config()
  changed = changes.evaluate_with(run, {'task.flip': False, 'data.name': 'lsp', 'seed': 0})
  assert (changed.task['flip'], changed.data.name) == (False, 'lsp')
  assert changed.model == run.model
  for key, value in (('seed', 1), ('task.crop_size', (64, 48)), ('model.growth', 8)):
    with pytest.raises(PosejaxError, match=f'config.{key}=.* cannot be set for an evaluation'):
      changes.evaluate_with(run, {key: value})
  with pytest.raises(PosejaxError, match=r'annotations of its own; set config\.data\.eval\.annot'):
    own = tiny.config(data__eval={'annotations': 'a.json'})
    changes.evaluate_with(own, {'data.annotations': 'b.json'})
  with pytest.raises(PosejaxError, match=r'config\.evaluate\.flop is not a known key'):
    changes.evaluate_with(run, {'evaluate.flop': True})
