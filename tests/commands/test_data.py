import json
import os

import cv2
import jax
import numpy as np
import pytest

from posejax import cli, draw
from posejax import experiment as experiments
from posejax.commands import config_flags
from posejax.data import batches, sources
from posejax.data.sources import coco_file
from posejax.data.sources.people import People
from posejax.geometry import affine
from posejax.skeletons import Skeleton
from posejax.train import loop
from tests import tiny
from tests.data import layouts

SMOKE = '--config=configs/pose_densenet.py:smoke'


def run(capsys, *arguments):
  """Run `posejax data ARGUMENTS`; return its exit code, output and errors."""
  code = cli.main(['data', *map(str, arguments)])
  output = capsys.readouterr()
  return code, output.out, output.err


@pytest.fixture
def people(tmp_path):
  """A COCO-format file of four pictures with two people each, and its flags."""
  dataset = layouts.coco_dataset(4)
  layouts.write(tmp_path / 'people.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  flags = [
    SMOKE,
    f'--config.data.annotations={tmp_path}/people.json',
    f'--config.data.images={tmp_path}/images',
  ]
  return dataset, flags


class TestPrepare:
  def test_says_what_was_prepared_and_what_was_left_out(self, capsys, tmp_path):
    root, _ = layouts.leeds(tmp_path / 'lsp', extended=True)
    os.remove(os.path.join(root, 'images', 'im00003.jpg'))
    where = [f'--manual_dir={root}', f'--data_dir={tmp_path}/prepared']
    code, _, errors = run(capsys, 'prepare', 'lspet', *where)
    assert code == 2
    assert 'im00003.jpg' in errors
    code, output, _ = run(capsys, 'prepare', 'lspet', *where, '--on_error=skip')
    assert code == 0
    assert 'train 17 people on 17 pictures' in output
    assert 'eval  2 people on 2 pictures' in output
    assert 'left out: 1 missing pictures' in output
    assert f'--config.data.name=lspet --config.data.data_dir={tmp_path}/prepared' in output
    # And it is found without the files.
    code, output, _ = run(capsys, 'prepare', 'lspet', f'--data_dir={tmp_path}/prepared')
    assert (code, 'train 17 people' in output) == (0, True)

  def test_says_which_files_go_where(self, capsys, tmp_path):
    code, _, errors = run(capsys, 'prepare', 'mpii', f'--data_dir={tmp_path}')
    assert code == 2
    for text in (
      'annot/train.json',
      'posejax data prepare mpii --manual_dir=DIR',
      'synthetic_people',
    ):
      assert text in errors

  def test_a_typo(self, capsys):
    code, _, errors = run(capsys, 'prepare', 'lspte')
    assert (code, "Did you mean 'lspet'?" in errors) == (2, True)


class TestShow:
  def test_crops_are_those_of_the_first_training_batch(self, capsys, tmp_path):
    code, output, _ = run(capsys, 'show', SMOKE, f'--out={tmp_path}/sheets', '--num=8')
    assert code == 0
    assert '8 of 24 examples of synthetic_people (train)' in output
    config = config_flags.read([SMOKE])
    assert config.batch_size == 8
    experiment = experiments.from_config(config)
    batch = batches.TrainBatches(
      experiment.train_source, experiment.task.transform_train, config.seed, 8
    )(0)
    panel = experiment.task.draw(batch, {})['panels']
    sheet = cv2.imread(f'{tmp_path}/sheets/crops-train.png')[..., ::-1]
    found = cv2.matchTemplate(np.ascontiguousarray(sheet), panel, cv2.TM_SQDIFF)
    assert found.min() < 1e-6 * panel.size * 255**2
    originals = cv2.imread(f'{tmp_path}/sheets/originals-train.png')
    assert originals.shape[0] > 2 * 256
    assert originals.shape[1] > 4 * 256

  def test_another_seed_shows_others_and_no_more_than_there_are(self, capsys, people, tmp_path):
    _, flags = people
    sheets = []
    for seed in (0, 1):
      out = f'{tmp_path}/{seed}'
      code, output, _ = run(
        capsys, 'show', *flags, '--split=eval', f'--seed={seed}', f'--out={out}'
      )
      assert code == 0
      assert ' of 2 examples of coco_file (eval)' in output
      sheets.append(cv2.imread(f'{out}/originals-eval.png'))
    assert sheets[0].shape == sheets[1].shape

  @pytest.mark.parametrize(
    ('flags', 'message'),
    [(['--num=0'], '--num=0 must be at least 1'), (['--nmu=3'], 'nmu')],
  )
  def test_wrong_use(self, capsys, tmp_path, flags, message):
    code, _, errors = run(capsys, 'show', SMOKE, f'--out={tmp_path}', *flags)
    assert (code, message in errors) == (2, True)

  def test_a_folder_that_cannot_be_made(self, capsys, tmp_path):
    (tmp_path / 'file').write_text('')
    code, _, errors = run(capsys, 'show', SMOKE, f'--out={tmp_path}/file/sheets')
    assert code == 2
    assert 'cannot make the folder' in errors


class TestStats:
  def test_text_json_and_sheet(self, capsys, people, tmp_path):
    dataset, flags = people
    first = dataset['annotations'][0]
    first['bbox'] = [60, 40, 3, 3]  # far from its keypoints
    dataset['annotations'][1]['keypoints'][:3] = [300, 20, 2]
    layouts.write(tmp_path / 'people.json', dataset)
    held_out = sources.create(config_flags.read(flags).data, 'eval').image_ids
    assert first['image_id'] not in held_out
    code, output, _ = run(
      capsys, 'stats', *flags, '--pictures', f'--out={tmp_path}/s.json', f'--sheet={tmp_path}/s.png'
    )
    assert code == 0
    assert '6 people on 3 pictures' in output
    assert f'annotation {first["id"]}' in output
    with open(tmp_path / 's.json') as file:
      counts = json.load(file)
    assert counts['split'] == 'train'
    assert counts['pictures']['pictures_read'] == 3
    suspicious = counts['suspicious']
    assert first['id'] in [row['annotation_id'] for row in suspicious['outside the box']]
    outside = suspicious['outside the picture']
    assert [row['annotation_id'] for row in outside] == [dataset['annotations'][1]['id']]
    assert cv2.imread(f'{tmp_path}/s.png').shape[1] > 256

  @pytest.mark.parametrize(
    ('flags', 'message'),
    [
      (['--out=x.txt'], '--out=x.txt must end in .json'),
      (['--sheet=x.bmp'], 'must end in .png or .jpg'),
      (['--config.data.name=synthetic_digits'], 'no people with keypoints'),
    ],
  )
  def test_wrong_use(self, capsys, flags, message):
    code, _, errors = run(capsys, 'stats', SMOKE, *flags)
    assert (code, message in errors) == (2, True)


class TestExport:
  def test_coco_can_be_trained_on_as_the_output_says(self, capsys, people, tmp_path):
    _, flags = people
    out = f'{tmp_path}/out'
    code, output, _ = run(capsys, 'export', '--format=coco', *flags, f'--out={out}')
    assert code == 0
    (line,) = [line for line in output.splitlines() if line.startswith('Train on it with ')]
    data = config_flags.read([SMOKE, *line.removeprefix('Train on it with ').split()]).data
    again = People(coco_file.CocoFile(data.annotations, data.images))
    source = sources.create_people(config_flags.read(flags).data, 'train')
    assert len(again) == len(source) == 6
    for i in range(6):
      np.testing.assert_array_equal(again[i]['visibility'], source[i]['visibility'])
      labelled = source[i]['visibility'] > 0
      np.testing.assert_array_equal(
        again[i]['keypoints'][labelled], source[i]['keypoints'][labelled]
      )

  def test_tfrecords(self, capsys, people, tmp_path):
    _, flags = people
    out = f'{tmp_path}/out'
    code, output, _ = run(
      capsys, 'export', '--format=tfrecord', '--split=eval', *flags, f'--out={out}'
    )
    assert code == 0
    assert '2 records' in output
    assert sorted(os.listdir(out)) == ['eval-00000-of-00001.tfrecord', 'eval.json']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """The work directory of a run of two steps, and its config."""
  workdir = str(tmp_path_factory.mktemp('runs') / 'run')
  config = tiny.config(num_steps=2)
  loop.train(config, workdir)
  return workdir, config


class TestPseudoLabel:
  def test_predictions_of_the_run_become_annotations(self, capsys, trained, tmp_path):
    workdir, config = trained
    # The evaluation's people as unlabelled pictures with boxes: the predictions must be evaluation's.
    eval_source = sources.create_people(config.data, 'eval')
    images, boxes = [], []
    for i in range(len(eval_source)):
      example = eval_source[i]
      draw.save(_made(f'{tmp_path}/images/{i:03d}.png'), example['image'])
      x1, y1, x2, y2 = example['box'].tolist()
      images.append({'id': i, 'file_name': f'{i:03d}.png'})
      boxes.append({'image_id': i, 'bbox': [x1, y1, x2 - x1 + 1, y2 - y1 + 1]})
    layouts.write(f'{tmp_path}/boxes.json', {'images': images, 'annotations': boxes})
    arguments = [f'--workdir={workdir}', f'--images={tmp_path}/images']
    arguments += [f'--boxes={tmp_path}/boxes.json', f'--out={tmp_path}/pseudo.json']
    code, output, _ = run(
      capsys, 'pseudo-label', *arguments, '--min_score=-10', '--min_keypoints=1'
    )
    assert code == 0
    assert '12 of 12 people kept, on 12 pictures' in output

    source = People(coco_file.CocoFile(f'{tmp_path}/pseudo.json', f'{tmp_path}/images'))
    expected = _predictions(workdir, config)
    for i in range(12):
      labelled = source[i]['visibility'] > 0
      assert labelled.any()
      np.testing.assert_allclose(
        source[i]['keypoints'][labelled], expected[i][labelled], rtol=1e-4, atol=2e-3
      )
      np.testing.assert_allclose(source[i]['box'], eval_source[i]['box'], rtol=1e-5)
    # And a run can be trained on it, its first batch at least.
    (line,) = [line for line in output.splitlines() if 'Train on it with ' in line]
    data = config_flags.read([SMOKE, *line.partition('Train on it with ')[2].split()])
    assert len(sources.create(data.data, 'train')) + len(sources.create(data.data, 'eval')) == 12

  def test_the_whole_picture_and_nobody_confident(self, capsys, trained, tmp_path):
    workdir, _ = trained
    layouts.write(f'{tmp_path}/images/a.jpg', layouts.jpeg(0))
    layouts.write(f'{tmp_path}/images/b.jpg', b'no picture')
    arguments = [f'--workdir={workdir}', f'--images={tmp_path}/images', f'--out={tmp_path}/p.json']
    code, _, errors = run(capsys, 'pseudo-label', *arguments)
    assert (code, 'b.jpg' in errors) == (2, True)
    code, output, errors = run(
      capsys, 'pseudo-label', *arguments, '--min_score=99', '--on_error=skip'
    )
    assert code == 2
    assert '0 of 1 people kept' in output
    assert 'left out: 1 broken pictures' in output
    assert 'left out: 1 people with fewer than 9 confident keypoints' in output
    assert 'Lower --min_score' in errors
    assert not os.path.exists(f'{tmp_path}/p.json')

  @pytest.mark.parametrize(
    ('flags', 'message'),
    [
      (['--min_keypoints=18'], '--min_keypoints=18 must be from 1 to 17'),
      (['--checkpoint=bset'], "--checkpoint=bset must be 'best'"),
      (['--out=p.txt'], 'must end in .json'),
      (['--workdir=nowhere'], 'There is no run'),
    ],
  )
  def test_wrong_use(self, capsys, trained, tmp_path, flags, message):
    given = [f'--workdir={trained[0]}', f'--images={tmp_path}', f'--out={tmp_path}/p.json']
    code, _, errors = run(capsys, 'pseudo-label', *given, *flags)
    assert (code, message in errors) == (2, True)


def _made(path):
  os.makedirs(os.path.dirname(path), exist_ok=True)
  return path


def _predictions(workdir, config):
  """Return keypoints of the evaluation's people, by the net called on its own."""
  from posejax.runs import checkpoint

  arrays = checkpoint.restore(workdir)
  experiment = experiments.from_config(config)
  variables = {'params': arrays['params'], **arrays['model_state']}
  batch = batches.EvalBatches(experiment.main.source, experiment.task.transform_eval, 12)(0)
  found = jax.jit(experiment.task.infer)(variables, batch['images'])['keypoints_crop']
  return np.asarray(affine.transform_points(found, batch['crop_to_image']))


def test_a_saved_run_says_what_its_net_predicts(trained):
  from posejax.runs import saved_run

  run = saved_run.read(trained[0], 'latest')
  assert isinstance(run.labels.skeleton, Skeleton)
  assert run.labels.skeleton.name == 'coco'
  assert run.step == 2
