"""`posejax convert`: a work directory whose first checkpoint holds another project's weights."""

from collections.abc import Sequence
import dataclasses
import os

import jax

from posejax import devices, labels
from posejax import experiment as experiments
from posejax.config import Config, InputsConfig, resolve
from posejax.data import sources
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.runs import checkpoint, workdirs
from posejax.runs.control import Control
from posejax.runs.meta import Course
from posejax.tasks import Task
from posejax.tasks.detection import measures as detection_measures
from posejax.tasks.pose.measures import PoseMetrics
from posejax.train.step import build
from posejax.weights import Converted, convert


def convert_workdir(
  path: str | os.PathLike,
  config: Config,
  workdir: str,
  *,
  fresh: Sequence[str] = (),
  channels: str | None = None,
) -> Converted:
  """Make a work directory from a checkpoint of another project, as if step 0 of a run.

  Its config is `config` with the `inputs` that the net was trained to see. The data that `config`
  names need not be there, unless they alone tell the skeleton.

  Args:
    path: the file.
    config: the experiment; its model must be the net in the file.
    workdir: must not hold a run.
    fresh: modules that keep initial values although the file may have them, e.g. 'head/final'.
    channels: 'rgb' or 'bgr' where this net was trained otherwise than its project's published ones.

  Raises:
    PosejaxError: the file cannot be read or does not fit the model, or `workdir` holds a run.
  """
  if config.task['name'] not in ('pose', 'detection'):
    raise PosejaxError(
      f"config.task.name={config.task['name']!r}; only nets of config.task.name='pose' and 'detection' "
      'convert.'
    )
  if other := config.init_from or config.model.get('init_from'):
    raise PosejaxError(
      f'init_from={other!r} in the config and the file {path} both say where to start from; leave the '
      'former empty.'
    )
  task_labels = _labels(config)
  model, task = experiments.build(config, task_labels)
  init_key, _ = jax.random.split(jax.random.key(config.seed))
  mesh = devices.make_mesh()
  # Compiling it takes longer than all the rest: only where a variable starts anew.
  init = devices.compile_init(task.init, mesh)
  with workdirs.claim(workdir, active=True):
    if workdirs.read_config(workdir) is not None or checkpoint.available_steps(workdir):
      raise PosejaxError(f'{workdir} holds a run already; choose another --workdir.')
    converted = convert.from_file(path, model, init=lambda: init(init_key), fresh=fresh)
    inputs = dataclasses.asdict(converted.inputs)
    inputs |= {} if channels is None else {'channels': channels}
    config = resolve(dataclasses.replace(config, inputs=InputsConfig(**inputs)))
    first = build.training(task, config, mesh, converted.variables).init_state(converted.variables)
    with checkpoint.Checkpointer(workdir) as checkpointer:
      course = Course(Control.create(config, _main_metric(task), 'max'))
      meta = course.to_meta(config, task.labels, fingerprints={})
      # On the host: arrays on a device would be copied to be written.
      checkpointer.save(jax.device_get(first.to_arrays()), meta, best_step=None)
    # Last: with a config and no checkpoint it would be trained from scratch.
    workdirs.write_config(workdir, config)
  return converted


def _main_metric(task: Task) -> str:
  if task.finds_all:
    return detection_measures.MAIN_METRIC
  return PoseMetrics(task.labels.skeleton, task.input_size).main_metric


def _labels(config: Config) -> LabelSpace:
  """Return what the net's outputs stand for; of a public data set its files are not needed."""
  if not config.data.annotations:
    if config.data.name == 'coco_instances':
      ids = {name: number for number, name in labels.COCO_CATEGORIES.items()}
      names = config.data.classes or tuple(ids)
      return LabelSpace(names, None, tuple(ids.get(name) for name in names))
    from posejax.data import builders  # imports tensorflow_datasets: a second

    if config.data.name in builders.BUILDERS:
      return labels.people(builders.BUILDERS[config.data.name].SKELETON)
  space = sources.create(config.data, 'train', config.seed).label_space
  return space if config.task['name'] == 'detection' else labels.people(space.skeleton)
