"""Measure how well people are followed through drawn films: ids, trembling, lag, PCK.

Run: python benchmarks/tracking.py [--films=8] [--frames=450] [--people=4]

The truth of drawn films is spoilt as a net would spoil it (jitter, misses, unsure and false instances,
random order) and given to the tracker. Then the Follower leads a pretended top-down net, which finds
whoever is in the box it is given, and instead of somebody hidden who stands in front.

`mistaken` are switches of people who were not gone for longer than they are remembered. A person's
keypoints count for PCK where they come under the id that the person has most often; not found is wrong.
"""

import argparse
import time

import numpy as np

from posejax.data.synthetic.film import DrawnFilm, Noise, imagine
from posejax.geometry import boxes as box_geometry
from posejax.infer.results import Instance
from posejax.infer.tracking import Follower, Smoothing, Tracker
from posejax.metrics import pck, tracks

SHAPE = (180, 320)
_REMEMBERED = 58  # frames: who is gone for longer than 2 s gets a new id, and that is no mistake


def instances(found):
  """Return what `imagine` found as Instances."""
  rows = zip(
    found['boxes'],
    found['scores'],
    found['keypoints'],
    found['keypoint_scores'],
    found['visible'],
    strict=True,
  )
  return [
    Instance(box, float(score), 0, keypoints, scores, visible)
    for box, score, keypoints, scores, visible in rows
  ]


class Record:
  """What became of one film's people: arrays by frame and person."""

  def __init__(self, film, people):
    K = film.skeleton.num_keypoints
    self.ids = np.zeros((len(film), people), int)
    self.truth = np.full((len(film), people, K, 2), np.nan)
    self.found = self.truth.copy()
    self.visibility = np.zeros((len(film), people, K), int)
    self.boxes = np.zeros((len(film), people, 4))

  def add_truth(self, t, labels):
    p = labels['ids'] - 1
    seen = labels['visibility'] > 0
    self.truth[t, p] = np.where(seen[..., None], labels['keypoints'], np.nan)
    self.visibility[t, p], self.boxes[t, p] = labels['visibility'], labels['boxes']

  def add_found(self, t, person, one, number):
    """Note an instance of a person (from 1) under an id (0 for none)."""
    self.ids[t, person - 1] = number
    self.found[t, person - 1] = np.where(one.visible[:, None], one.keypoints, np.nan)


def unfollowed(film, frames, record):
  """Take the place in the list for an id."""
  for t, found in enumerate(frames):
    for place, (person, one) in enumerate(zip(found['ids'], instances(found), strict=True)):
      if person:
        record.add_found(t, person, one, place + 1)


def tracked(film, frames, record, **settings):
  tracker = Tracker(film.skeleton, **settings)
  for t, found in enumerate(frames):
    followed = tracker.update(instances(found), film.times[t], SHAPE)
    for person, one in zip(found['ids'], followed, strict=True):
      if person:
        record.add_found(t, person, one, one.track_id or 0)


def led(film, frames, record, every, counts, noise):
  """Lead a pretended net, which finds of each box the person who fills it best."""
  rng = np.random.default_rng(1)
  truths = [film.labels(t) for t in range(len(film))]
  frame = {'t': 0}

  def detect(image):
    counts['detections'] += 1
    found = frames[frame['t']]
    return found['boxes'], found['scores']

  def pose(image, looked_into):
    labels, poses = truths[frame['t']], []
    counts['poses'] += len(looked_into)
    # Who is hidden is not found: who stands in front is.
    shown = (labels['visibility'] == 2).mean(axis=1)
    overlap = box_geometry.iou(looked_into, labels['boxes']) * shown
    for box, row in zip(looked_into, overlap, strict=True):
      if len(row) and row.max() > 0.1:
        who = int(row.argmax())
        seen = labels['visibility'][who] > 0
        size = np.mean(labels['boxes'][who, 2:] - labels['boxes'][who, :2])
        points = labels['keypoints'][who] + rng.normal(0, noise.jitter * size, (len(seen), 2))
        score = 0.8 + 0.001 * labels['ids'][who]  # which tells who it is when it comes back
        poses.append(Instance(box, score, 0, points, np.where(seen, 0.8, 0.05), seen))
      else:  # nobody: a pose of no sureness anywhere in the box
        points = rng.uniform(box[:2], np.maximum(box[2:], box[:2] + 1), (17, 2))
        poses.append(Instance(box, 0.05, 0, points, np.full(17, 0.05), np.zeros(17, bool)))
    return poses

  follower = Follower(pose, detect, Tracker(film.skeleton), every=every)
  image = np.zeros((*SHAPE, 3), np.uint8)
  for t in range(len(film)):
    frame['t'] = t
    for one in follower(image, film.times[t]):
      person = round((one.score - 0.8) * 1000)
      # Of two ids on one person the one is meant that the person had before.
      if person > 0 and not (record.ids[t, person - 1] == record.ids[t - 1, person - 1] > 0):
        record.add_found(t, person, one, one.track_id)


def figures(records, skeleton):
  """Return the table's row of records of several films."""
  found, truth = ([getattr(r, name) for r in records] for name in ('found', 'truth'))
  sums = []
  for r in records:
    own = (r.ids == tracks.main_ids(r.ids)) & (r.ids > 0)
    predicted = np.where(own[..., None, None] & np.isfinite(r.found), r.found, 1e6)
    there = (r.visibility > 0).any(-1).ravel()
    arrays = (predicted, np.nan_to_num(r.truth), r.visibility, r.boxes)
    arrays = [a.reshape(-1, *a.shape[2:]) for a in arrays]
    sums.append(pck.pck_sums(*arrays, there, skeleton))
  total = {name: sum(np.asarray(s[name]) for s in sums) for name in sums[0]}
  values = pck.summarize_pck(total, skeleton)
  return {
    'switches': sum(tracks.id_switches(r.ids) for r in records),
    'mistaken': sum(tracks.id_switches(r.ids, within=_REMEMBERED) for r in records),
    'ids/person': np.mean([tracks.ids_per_person(r.ids) for r in records]),
    'jitter': np.mean([tracks.acceleration_error(f, t) for f, t in zip(found, truth, strict=True)]),
    'lag ms': np.mean([tracks.lag(f, t) for f, t in zip(found, truth, strict=True)]) / 30 * 1000,
    'PCK@0.20': values['PCK@0.20/torso'],
    'PCK@0.05': values['PCK@0.05/torso'],
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--films', type=int, default=8)
  parser.add_argument('--frames', type=int, default=450, help='at 30 a second')
  parser.add_argument('--people', type=int, default=4)
  parser.add_argument('--jitter', type=float, default=0.02, help="of a person's size")
  args = parser.parse_args()
  noise = Noise(jitter=args.jitter)
  films = [DrawnFilm(seed, args.frames, SHAPE, args.people) for seed in range(args.films)]
  frames = []
  for seed, film in enumerate(films):
    rng = np.random.default_rng(seed)
    frames.append([imagine(film.labels(t), rng, SHAPE, noise) for t in range(len(film))])
  counts = {}

  def lead(every):
    def run(film, frames, record):
      led(film, frames, record, every, counts, noise)

    return run

  ways = {
    'place in the list as id': unfollowed,
    'tracker, not smoothed': lambda *a: tracked(*a, smoothing=None),
    'tracker, smoothed': tracked,
    **{
      f'  beta {beta}, at rest {low} Hz': lambda *a, beta=beta, low=low: tracked(
        *a, smoothing=Smoothing(min_cutoff=low, beta=beta)
      )
      for low, beta in ((0.05, 80.0), (0.05, 20.0), (0.05, 10.0), (1.0, 10.0))
    },
    **{f'follower, every {n} frames': lead(n) for n in (1, 5, 15)},
  }
  print(
    f'{args.films} films of {args.frames} frames, {SHAPE[0]}x{SHAPE[1]}, {args.people} people; '
    f'jitter {args.jitter:.0%} of size, {noise.missed:.0%} missed, {noise.false} false a frame'
  )
  names = ('switches', 'mistaken', 'ids/person', 'jitter', 'lag ms', 'PCK@0.20', 'PCK@0.05')
  print(f'{"":28s}' + ''.join(f'{name:>11s}' for name in names) + '   ms/frame  detector')
  for way, run in ways.items():
    counts.update(detections=0, poses=0)
    records, began = [], time.perf_counter()
    for film, seen in zip(films, frames, strict=True):
      records.append(Record(film, args.people))
      run(film, seen, records[-1])
    taken = (time.perf_counter() - began) / (args.films * args.frames) * 1000
    for record, film in zip(records, films, strict=True):
      for t in range(len(film)):
        record.add_truth(t, film.labels(t))
    row = figures(records, films[0].skeleton)
    digits = {'switches': 0, 'mistaken': 0, 'ids/person': 2, 'lag ms': 1}
    cells = ''.join(f'{row[name]:11.{digits.get(name, 3)}f}' for name in names)
    share = f'{counts["detections"] / (args.films * args.frames):8.0%}' if counts['poses'] else ''
    print(f'{way:28s}{cells}{taken:11.2f}  {share}')


if __name__ == '__main__':
  main()
