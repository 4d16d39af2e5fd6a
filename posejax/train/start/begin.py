"""What a new run's net starts from: chance, another net, or a published backbone.

`config.init_from` names a published net, or a run: of that its best checkpoint's parameters (the averaged
ones where it has them) and batch statistics. They are taken by exact path and shape. Everything but the
head must be there and fit, but for the modules that `config.init_fresh` names. A head of the same build
is taken too, except that its channels of keypoints are matched by name where the two skeletons differ; a
head of another build starts anew, and so does what a loss learns. Published nets have their batch norms
folded in: where `config.model.batch_norm` asks for norms, they are put behind the convolutions again, and
the net computes what it did.

`config.model.init_from` names a file of another project: its backbone is taken whole, the head starts
anew.

Only a run's first start reads either; afterwards its checkpoints hold everything.
"""

from collections.abc import Iterable, Mapping, Set
import dataclasses
from functools import partial
import re
from typing import Any

import numpy as np

from posejax import experiment as experiments
from posejax import paths
from posejax.config import Config, InputsConfig
from posejax.data.batches import EvalBatches
from posejax.errors import PosejaxError
from posejax.runs import nets, published_nets
from posejax.runs.saved_net import SavedNet
from posejax.train.start import by_keypoint
from posejax.types import Variables
from posejax.weights import convert
from posejax.weights.families.names import NEVER_USED

TAKEN, BY_KEYPOINT, INITIALISED, LEFT = 'taken', 'by keypoint', 'initialised', 'left behind'
_LISTED = 8
_NORM_IMAGES = 64
_MAY_DIFFER = ('head', 'loss')


@dataclasses.dataclass(frozen=True)
class Start:
  """Where the variables of a net come from.

  Attributes:
    source: what they were taken from, for a person.
    values: path → array, of those that were not left to chance.
    origin: path of every variable → TAKEN, BY_KEYPOINT or INITIALISED.
    left: names in the source of what has no place here.
    used: names in the source of the rest.
    notes: lines on keypoints and counters.
  """

  source: str
  values: Mapping[str, Any]
  origin: Mapping[str, str]
  left: tuple[str, ...]
  used: tuple[str, ...]
  notes: tuple[str, ...] = ()

  def table(self, sizes: Mapping[str, int]) -> str:
    """Return the lists by module; a module of one fate is one row.

    Args:
      sizes: path of every variable → its number of values.
    """
    rows = _grouped((_module_parts(p), fate, sizes[p]) for p, fate in self.origin.items())
    there = [(tuple(re.split('[./]', name)), TAKEN, 0) for name in self.used]
    there += [(tuple(re.split('[./]', name)), LEFT, 0) for name in self.left]
    rows += [row for row in _grouped(there) if row[1] == LEFT]
    width = max(len(name) for name, *_ in rows)
    lines = [f'Starts from {self.source}:']
    for name, fate, count, size in rows:
      values = f'{size:>12,} values' if size else ''
      arrays = 'array ' if count == 1 else 'arrays'
      lines.append(f'  {name:<{width}}  {fate:<11}  {count:>4} {arrays}{values}'.rstrip())
    return '\n'.join([*lines, *(f'  {note}' for note in self.notes)])


def begin(experiment: experiments.Experiment, variables: Variables) -> tuple[Variables, str]:
  """Return the variables that a new run begins with, and where they come from, for a person.

  Args:
    experiment: the new run's.
    variables: its net's, initialised; they stay where the config leaves all to chance, which needs no
      words.

  Raises:
    PosejaxError: the run or file does not exist, holds another net (the first differences are listed)
      or one for other inputs.
  """
  config = experiment.config
  file = config.model.get('init_from', '')
  if file and config.init_from:
    raise PosejaxError(
      f'config.init_from={config.init_from!r} and config.model.init_from={file!r} both say where to '
      'start from; set one of them to the empty string.'
    )
  if not file and not config.init_from:
    return variables, ''
  take = _from_net if config.init_from else partial(_from_file, file)
  start = take(experiment, variables)
  sizes = {path: leaf.size for path, leaf in paths.flatten(variables).items()}
  return paths.replace(variables, start.values), start.table(sizes)


def _read(experiment: experiments.Experiment) -> SavedNet:
  """Return the net that `config.init_from` names, with batch norms where the run's has them."""
  config = experiment.config
  try:
    net = nets.read(config.init_from)
  except PosejaxError as error:
    raise PosejaxError(f'config.init_from={config.init_from!r}: {error}') from error
  folded = config.model.get('batch_norm') and not net.config.model.get('batch_norm')
  if folded and net.config.model.get('name') == config.model.get('name'):
    net = published_nets.with_norms(net, _some_images(experiment))
  return net


def _some_images(experiment: experiments.Experiment) -> np.ndarray:
  """Return pictures to take norms' statistics from, uint8 `[B, H, W, 3]`."""
  source = experiment.train_source
  count = min(_NORM_IMAGES, len(source))
  return EvalBatches(source, experiment.task.transform_eval, count)(0)['images']


def _from_net(experiment: experiments.Experiment, variables: Variables) -> Start:
  config = experiment.config
  net = _read(experiment)
  _check_inputs('config.init_from', config.init_from, net.config.inputs, config.inputs)
  here, there = paths.flatten(variables), paths.flatten(net.variables)
  fresh = _fresh(config.init_fresh, {*here, *there})
  places = by_keypoint.places(config, experiment.task, net.labels, here)
  may_differ = {path for path in (*here, *there) if path in places or _group(path) in _MAY_DIFFER}
  may_differ -= fresh
  _check_same_body(here, there, may_differ | fresh, config, net.config)

  same_build = {}
  for group in {_group(path) for path in may_differ}:
    members = {path for path in may_differ if _group(path) == group}
    same_build[group] = by_keypoint.builds_alike(members, here, there, places)
  shared = by_keypoint.shared(net.labels, experiment.task.labels) if places else []
  values, origin = {}, {}
  for path, leaf in here.items():
    if path in fresh or (path in may_differ and not same_build[_group(path)]):
      origin[path] = INITIALISED
    elif path not in places:
      values[path], origin[path] = there[path], TAKEN
    elif places[path] is None or not shared:
      origin[path] = INITIALISED
    else:
      values[path] = by_keypoint.moved(there[path], leaf, places[path], shared)
      origin[path] = BY_KEYPOINT
  used = [path for path in there if origin.get(path) in (TAKEN, BY_KEYPOINT)]
  return Start(
    source=f'{config.init_from} ({net.name})',
    values=values,
    origin=origin,
    left=tuple(_module(path) for path in there if path not in used),
    used=tuple(_module(path) for path in used),
    notes=by_keypoint.told(net.labels, experiment.task.labels) if shared else (),
  )


def _fresh(patterns: Iterable[str], both: Set[str]) -> set[str]:
  """Return the paths, of the net to start from and of the new one, that `config.init_fresh` names."""
  named = {p: {path for path in both if paths.matches(p, _module(path))} for p in patterns}
  for pattern, found in named.items():
    if not found:
      raise PosejaxError(
        f'config.init_fresh: {pattern!r} matches nothing of either net; paths are in the table of '
        'parameters that a run begins with, such as "neck/lateral_c5".'
      )
  return set().union(*named.values())


def _from_file(file: str, experiment: experiments.Experiment, variables: Variables) -> Start:
  config = experiment.config
  backbone = getattr(experiment.model, 'backbone', None)
  if backbone is None:
    raise PosejaxError(
      f'config.model.init_from={file!r}: {config.model.get("name")!r} has no backbone that another '
      "project's weights would fit; to start from a run of posejax use config.init_from."
    )
  converted = convert.from_file(file, backbone)
  inputs = InputsConfig(**dataclasses.asdict(converted.inputs))
  _check_inputs('config.model.init_from', file, inputs, config.inputs)
  values = {}
  for path, value in paths.flatten(converted.variables).items():
    collection, _, rest = path.partition('/')
    values[f'{collection}/backbone/{rest}'] = value
  counters = [name for name in converted.dropped if re.fullmatch(NEVER_USED, name)]
  return Start(
    source=f'{file}, a {converted.checkpoint}',
    values=values,
    origin={p: TAKEN if p in values else INITIALISED for p in paths.flatten(variables)},
    left=tuple(name for name in converted.dropped if name not in counters),
    used=converted.used,
    notes=(f'{len(counters)} num_batches_tracked not needed',) if counters else (),
  )


def _check_inputs(key: str, name: str, there: InputsConfig, here: InputsConfig) -> None:
  """Refuse inputs that the weights do not know: swapped colours learn, only worse, and say nothing."""
  there, here = dataclasses.asdict(there), dataclasses.asdict(here)
  different = [
    f'  config.inputs.{field}: {there[field]!r} there, {here[field]!r} now'
    for field in there
    if tuple(there[field]) != tuple(here[field])
  ]
  if different:
    raise PosejaxError(
      f'{key}={name!r} was trained with other inputs:\n'
      + '\n'.join(different)
      + '\nSet these keys as they are there.'
    )


def _check_same_body(
  here: Mapping[str, Any],
  there: Mapping[str, Any],
  may_differ: Set[str],
  config: Config,
  other: Config,
) -> None:
  """Refuse another net: everything that may not differ must have the same paths and shapes."""
  shapes = [
    {path: tuple(leaf.shape) for path, leaf in flat.items() if path not in may_differ}
    for flat in (there, here)
  ]
  different = [
    f'  {path}: {shapes[0].get(path, "absent")} there, {shapes[1].get(path, "absent")} now'
    for path in sorted(shapes[0].keys() | shapes[1].keys(), key=_module)
    if shapes[0].get(path) != shapes[1].get(path)
  ]
  if different:
    raise PosejaxError(
      f'config.init_from={config.init_from!r} holds another net: {other.model.get("name")!r} there, '
      f'{config.model.get("name")!r} now. {len(different)} arrays outside the head differ:\n'
      + '\n'.join(different[:_LISTED])
      + '\nSet config.model as it is there, or name in config.init_fresh what is to start anew; only a '
      'head may be another one without that.'
    )


def _module(path: str) -> str:
  """Return a path without its collection."""
  return path.partition('/')[2]


def _group(path: str) -> str:
  """Return the outermost module of a path."""
  return path.split('/')[1]


def _module_parts(path: str) -> tuple[str, ...]:
  return tuple(_module(path).split('/'))


def _grouped(
  items: Iterable[tuple[tuple[str, ...], str, int]], prefix: tuple[str, ...] = ()
) -> list[tuple[str, str, int, int]]:
  """Return (module, fate, arrays, values) of the largest modules whose arrays have one fate.

  Args:
    items: (names from the outermost module on, fate, values) of each array.
    prefix: names of the modules around.
  """
  items = list(items)
  groups: dict[str, list] = {}
  for parts, fate, size in items:
    groups.setdefault(parts[0], []).append((parts[1:], fate, size))
  rows = []
  for name, inner in groups.items():
    path, fates = (*prefix, name), {fate for _, fate, _ in inner}
    if len(fates) == 1:
      rows.append(('/'.join(path), fates.pop(), len(inner), sum(size for *_, size in inner)))
    else:
      rows += _grouped(inner, path)
  return rows
