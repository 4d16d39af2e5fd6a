"""A training step of the digit classifier: posejax against PyTorch, same net, batch and optimiser.

    python benchmarks/digit_step.py                      # the plain net, batch 64
    python benchmarks/digit_step.py --config=configs/svhn_cnn.py:mixed   # no twin: posejax alone

posejax runs its own compiled step, from uint8 images and labels to the updated state: normalising,
gradient norm, accuracy and per-example losses included. PyTorch gets normalised images, and runs
forward, cross-entropy, backward and AdamW in channels last. Before anything is timed, both nets get the
same weights and must give the same logits. The two take turns, each in a process of its own; the table
gives medians.
"""

import argparse
from functools import partial
import importlib.util
import os
import sys

import contest
import numpy as np
import rival

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))  # configs import configs.common


def read_config(path: str, batch_size: int):
  """Return the Config of a file and its argument."""
  from posejax.config import Config

  path, _, argument = path.partition(':')
  spec = importlib.util.spec_from_file_location('digit_config', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  values = module.get_config(argument).to_dict()
  values |= {'batch_size': batch_size}
  values['data'] |= {'name': 'synthetic_digits', 'parts': {}, 'num_train_examples': batch_size}
  values['optimizer'] |= {'schedule': 'constant', 'schedule_steps': 1_000_000}
  return Config.from_dict(values)


class Posejax:
  """The project's own step, over and over on one batch of drawn digits."""

  def __init__(self, config):
    import jax

    from posejax import devices, experiment
    from posejax.data.batches import TrainBatches
    from posejax.train.step import build

    built = experiment.from_config(config)
    self.model, task = built.model, built.task
    mesh, self._key = devices.make_mesh(), jax.random.key(0)
    variables = task.init(self._key)
    training = build.training(task, config, mesh, variables)
    self.state = devices.put_replicated(training.init_state(variables), mesh)
    self.host_batch = TrainBatches(built.train_source, task.transform_train, 0, config.batch_size)(
      0
    )
    self.batch = devices.put_batch(self.host_batch, mesh)
    self._step = training.step

  def step(self):
    """Run one step to its end."""
    import jax

    self.state, output = self._step(self.state, self.batch, self._key)
    jax.block_until_ready((self.state, output))


class PyTorch:
  """The plain net's twin, in a process of its own; `images` are normalised float32 `[B, H, W, 3]`."""

  def __init__(self, variables, images, labels, optimizer):
    self._torch = torch = rival.prepare_torch()
    from twins.svhn_cnn import PlainNet

    net = PlainNet(images.shape[1:3], len(variables['params']['dense2']['bias']))
    net.load_posejax(variables)
    self._images = torch.tensor(images.transpose(0, 3, 1, 2)).contiguous(
      memory_format=torch.channels_last
    )
    self._labels = torch.tensor(labels, dtype=torch.long)
    self._net = net.to(memory_format=torch.channels_last)
    self._optimizer = torch.optim.AdamW(
      net.parameters(), optimizer.learning_rate, weight_decay=optimizer.weight_decay
    )

  def logits(self, count):
    """Return what the untrained net says of the first `count` images, `[count, C]`."""
    with self._torch.no_grad():
      logits = self._net.eval()(self._images[:count]).numpy()
    self._net.train()
    return logits

  def step(self):
    """Run one step to its end."""
    self._optimizer.zero_grad(set_to_none=True)
    loss = self._torch.nn.functional.cross_entropy(self._net(self._images), self._labels)
    loss.backward()
    self._optimizer.step()


def start_pytorch(ours: Posejax, config, args) -> rival.Away:
  """Return the PyTorch contender, checked to be the same net."""
  if config.model.get('variant') != 'baseline' or len(config.model['features']) != 2:
    raise rival.NoRivalError('only the plain net has a twin')
  images = np.asarray(ours.host_batch['images'], np.float32) / 255
  images = (images - np.float32(config.inputs.mean)) / np.float32(config.inputs.std)
  variables = rival.to_numpy(ours.state.variables)
  labels = np.asarray(ours.host_batch['labels'])
  twin = rival.Away(PyTorch, variables, images, labels, config.optimizer)
  expected = np.asarray(ours.model.apply(variables, images[:4])['logits'])
  contest.check_equal(twin.call('logits', 4), expected, args)
  return twin


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--config', default='configs/svhn_cnn.py')
  parser.add_argument('--batch', type=int, default=64)
  parser.add_argument('--repeats', type=int, default=30)
  args = parser.parse_args()
  args.device, args.dtype = 'cpu', 'float32'
  contest.prepare(args)
  config = read_config(args.config, args.batch)
  ours = Posejax(config)
  contenders = {'posejax': partial(contest.timed, ours.step)}
  try:
    twin = start_pytorch(ours, config, args)
    contenders['PyTorch'] = twin.timed('step')
  except rival.NoRivalError as e:
    print(f'posejax alone: {e}.')
  seconds = contest.turns(contenders, args.repeats)
  print('net | batch | posejax ms | PyTorch ms | ratio')
  cells = [config.model.get('variant'), args.batch, f'{1000 * seconds["posejax"]:.1f}']
  if theirs := seconds.get('PyTorch'):
    cells += [f'{1000 * theirs:.1f}', f'{theirs / seconds["posejax"]:.2f}']
    twin.close()
  print(' | '.join(map(str, cells)))


if __name__ == '__main__':
  main()
