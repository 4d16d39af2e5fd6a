"""The smallest sweep that truly trains."""


def command(folder, rates, *flags):
  """Return the arguments of `posejax sweep` over some learning rates."""
  return [
    'sweep',
    '--config=configs/pose_densenet.py:smoke',
    '--config.data.executor=threads',
    '--config.optimizer.schedule=constant',
    f'--out={folder}',
    f'--set=optimizer.learning_rate={rates}',
    *flags,
  ]
