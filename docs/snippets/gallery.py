"""Draw docs/gallery.md's pictures: `python docs/snippets/gallery.py --workdir=runs/pose_densenet`.

One for each part, and all of them on a sheet.
"""

import argparse
import os

import cv2
import numpy as np

from posejax import Predictor, Result, Tracker, codecs, draw, plots
from posejax.data.inspect import sheets
from posejax.data.sources.people import People
from posejax.data.synthetic.digits import SyntheticDigits
from posejax.data.synthetic.film import DrawnFilm
from posejax.data.synthetic.people import SyntheticPeople
from posejax.data.transforms import augment
from posejax.data.transforms.crops import CropPerson
from posejax.infer import overlay
from posejax.runs.report import read_rows
from posejax.runs.saved_run import read

CROP_SIZE = (192, 128)
WIDTH = 720  # of a picture that is written


def annotations(people):
  """People as they are annotated, with what hides them."""
  return sheets.originals(people, (1, 2, 4, 6, 8, 10, 12, 14), [f'person {i}' for i in range(8)])


def variations(people):
  """One person, varied for training."""
  varied = augment.create(
    'none', flip=0.5, rotation=30, scale=0.25, color=1, brightness=0.3, hue=0.1, occlusion=0.5
  )
  crop = CropPerson(people.label_space.skeleton, CROP_SIZE, 'udp', varied)
  rows, rng = [], np.random.default_rng(0)
  for _ in range(2):
    made = [crop(people[1], rng) for _ in range(6)]
    rows.append(
      [
        draw.draw_skeleton(m['images'], m['keypoints'], crop.skeleton, m['visibility'] > 0)
        for m in made
      ]
    )
  return draw.contact_sheet(rows)


def targets(people):
  """What nets are asked to output for one crop, codec by codec."""
  skeleton, H, W = people.label_space.skeleton, *CROP_SIZE
  made = {
    'msra, dark': codecs.create('msra', crop_size=CROP_SIZE, heatmap_size=(H // 4, W // 4)),
    'udp': codecs.create('udp', crop_size=CROP_SIZE, heatmap_size=(H // 4, W // 4), sigma=1.5),
    'discs': codecs.create('discs', crop_size=CROP_SIZE),
    'movenet': codecs.create('movenet', crop_size=CROP_SIZE),
  }
  row = []
  for codec in made.values():
    crop = CropPerson(skeleton, CROP_SIZE, codec.convention, augment.create('none'))
    one = crop(people[5], np.random.default_rng(0))
    encoded = codec.encode(one['keypoints'][None], one['visibility'][None])
    maps = np.asarray(codec.target_maps(*encoded))[0]
    row.append(draw.overlay_heatmaps(one['images'], maps, codec.map_cell))
  return draw.contact_sheet([row], list(made))


def found(predictor, people):
  """Pictures, where the net sees keypoints, and the skeletons, in annotated boxes."""
  row = []
  for i in (1, 5, 7, 12):
    image, box = draw.enlarge(people[i]['image'], people[i]['box'].reshape(2, 2), 2)
    result = predictor(image, [box.ravel()])
    row.append(draw.overlay_heatmaps(image, predictor.heat(image, result)[..., None]))
    row.append(overlay.draw_result(image, result, predictor.labels, boxes=False))
  return draw.contact_sheet([row[:4], row[4:]])


def followed(predictor):
  """Frames of a film with ids, and the paths of everybody's head so far."""
  film = DrawnFilm(seed=4, num_frames=91, shape=(180, 320), people=3)
  tracker = Tracker(film.skeleton, high_score=0.3, new_score=0.3)
  paths, shown = {}, []
  for frame in film:
    image = frame['image']
    instances = predictor(image, frame['boxes']).instances
    tracked = tracker.update(instances, frame['time'], image.shape[:2])
    known = tuple(one for one in tracked if one.track_id is not None)
    for one in known:
      paths.setdefault(one.track_id, []).append(one.keypoints[0])
    picture = overlay.draw_result(image, Result(image.shape[:2], known), predictor.labels)
    for path in paths.values():
      cv2.polylines(picture, [np.rint(path).astype(np.int32)], False, (255, 255, 255), 1)
    shown.append(picture)
  return draw.contact_sheet([shown[10:50:15], shown[55::15]])


def curves(workdir):
  """Loss, learning rate and the main metric of the run."""
  metric = read(workdir, 'best').config.best_metric or 'PCK@0.20/torso'
  return plots.learning_curves(read_rows(workdir), metric)


def digits():
  """Drawn house numbers; the digit in the middle is to be told."""
  source = SyntheticDigits('eval', num_examples=48)
  tiles = [draw.enlarge(source[i]['image'], None, 2)[0] for i in range(48)]
  return draw.contact_sheet([tiles[i : i + 12] for i in range(0, 48, 12)])


def main():
  """Draw all of them."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', required=True, help='a run of poses of drawn people')
  parser.add_argument('--out', default='gallery', help='folder to write to')
  arguments = parser.parse_args()
  predictor, people = Predictor.load(arguments.workdir), People(SyntheticPeople('eval'))
  pictures = {
    'annotations': annotations(people),
    'variations': variations(people),
    'targets': targets(people),
    'found': found(predictor, people),
    'followed': followed(predictor),
    'curves': curves(arguments.workdir),
    'digits': digits(),
  }
  os.makedirs(arguments.out, exist_ok=True)
  rows = []
  for name, picture in pictures.items():
    h, w = picture.shape[:2]
    scaled = cv2.resize(picture, (WIDTH, round(h * WIDTH / w)), interpolation=cv2.INTER_AREA)
    save(os.path.join(arguments.out, f'{name}.jpg'), scaled)
    rows.append([draw.contact_sheet([[scaled]], [name])])
  save(os.path.join(arguments.out, 'sheet.jpg'), draw.contact_sheet(rows))


def save(path, picture):
  """Write a JPEG that is small enough to be kept."""
  cv2.imwrite(path, picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == '__main__':
  main()
