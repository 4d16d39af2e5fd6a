"""A net by its name, whatever keeps it: a run, a file of its own, or the weights of a published one."""

from posejax import files
from posejax.errors import PosejaxError
from posejax.runs import net_file, published_nets
from posejax.runs.saved_net import SavedNet


def read(name: str, checkpoint: str = 'best') -> SavedNet:
  """Return a net, to be used or to start from.

  Args:
    name: of `published_nets.NETS`, a `.safetensors` file that `posejax export` wrote, or a run's work
      directory.
    checkpoint: of a run: 'best', 'latest' or a step.

  Raises:
    PosejaxError: there is no such net or checkpoint, it is of another version, or a published net's
      weights are not at hand.
  """
  if name in published_nets.NETS:
    return published_nets.read(name)
  if net_file.is_one(name):
    return net_file.read(name)
  if not files.is_folder(name):
    raise PosejaxError(
      f'There is no run at {name!r}. Name the work directory of a run of main.py, a file of one net '
      f'({net_file.ENDING}), or a published net: {", ".join(published_nets.NETS)}.'
    )
  # Orbax is a quarter of a second, which the others do not need.
  from posejax.runs import saved_run

  return saved_run.read(name, checkpoint).net()
