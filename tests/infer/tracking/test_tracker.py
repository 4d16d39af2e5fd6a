import dataclasses
import warnings

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax.data.synthetic.film import DrawnFilm, Noise, imagine
from posejax.errors import PosejaxError
from posejax.infer.results import Instance
from posejax.infer.tracking import Smoothing, Tracker
from posejax.metrics import tracks
from posejax.skeletons import COCO

HW = (180, 320)
FORM = np.random.default_rng(0).uniform([-12, -40], [12, 40], (17, 2))  # of a person, about (0, 0)


def person(x, y=90, score=0.9, scale=1.0, **changes):
  keypoints = np.float32(FORM * scale + [x, y])
  box = np.concatenate([keypoints.min(0) - 4, keypoints.max(0) + 4])
  values = {'keypoint_scores': np.full(17, score), 'visible': np.ones(17, bool)} | changes
  return Instance(box, score, 0, keypoints, **values)


def ids(instances):
  return [one.track_id for one in instances]


def follow(frames, rate=30, **settings):
  """Return the ids of frames of people, each a list of instances."""
  tracker = Tracker(COCO, **settings)
  return [ids(tracker.update(frame, n / rate, HW)) for n, frame in enumerate(frames)]


def record(film, settings=None, noise=None, seed=0):
  """Follow a drawn film; return ids `[T, P]`, what was found and the truth `[T, P, K, 2]`."""
  rng, tracker = np.random.default_rng(seed), Tracker(film.skeleton, **(settings or {}))
  frames = [film.labels(t) for t in range(len(film))]
  people = max(labels['ids'].max(initial=0) for labels in frames)
  named = np.zeros((len(film), people), int)
  found = np.full((len(film), people, 17, 2), np.nan)
  truth = found.copy()
  for t, labels in enumerate(frames):
    truth[t, labels['ids'] - 1] = labels['keypoints']
    seen = imagine(labels, rng, film.shape, noise)
    instances = [
      Instance(b, float(s), 0, k, c, v)
      for b, s, k, c, v in zip(
        *(seen[n] for n in ('boxes', 'scores', 'keypoints', 'keypoint_scores', 'visible')),
        strict=True,
      )
    ]
    followed = tracker.update(instances, film.times[t], film.shape)
    for who, one in zip(seen['ids'], followed, strict=True):
      if who:
        named[t, who - 1] = one.track_id or 0
        found[t, who - 1] = np.where(one.visible[:, None], one.keypoints, np.nan)
  return named, found, truth


def test_ids_follow_people_and_not_their_place_in_the_list():
  frames = [[person(60 + 2 * n), person(200 - n)][:: (-1) ** n] for n in range(20)]
  for n, found in enumerate(follow(frames)):
    assert found[:: (-1) ** n] == [1, 2]


def crossings(truth):
  """How often one person comes to be on the other side of another, both in the picture."""
  x = np.nanmean(truth[..., 5:13, 0], axis=2)  # of shoulders to hips
  side = x[:, :, None] - x[:, None]
  return int((side[1:] * side[:-1] < 0).sum() / 2)


def test_crossing_people_keep_their_ids_in_drawn_films():
  switches, crossed = 0, 0
  for seed in range(4):
    named, _, truth = record(DrawnFilm(seed, num_frames=120, people=6), seed=seed)
    with warnings.catch_warnings():
      warnings.simplefilter('ignore', RuntimeWarning)  # means of nobody
      crossed += crossings(truth)
    assert (named > 0).sum() > 0.85 * np.isfinite(truth).any(axis=(2, 3)).sum()
    switches += tracks.id_switches(named, within=55)  # longer, and they are forgotten
  # By the boxes' overlap alone, without poses, there are 12 switches.
  assert crossed > 30
  assert switches == 0


def test_smoothing_brings_points_nearer_to_the_truth_and_calms_them():
  film = DrawnFilm(1, num_frames=150, people=2)
  _, raw, truth = record(film, {'smoothing': None})
  _, smooth, _ = record(film)
  jitters = [tracks.acceleration_error(found, truth) for found in (raw, smooth)]
  assert jitters[1] < 0.7 * jitters[0]
  errors = [np.nanmean(np.linalg.norm(found - truth, axis=-1)) for found in (raw, smooth)]
  assert errors[1] < 0.9 * errors[0]
  assert tracks.lag(smooth, truth) < 0.25


def walk_out_and_back(gone, rate=30):
  """Frames of one person who walks off to the left, is gone for some seconds and comes back."""
  out = [[person(x)] for x in np.arange(70, 10, -2.0)]
  return [*out, *[[]] * round(gone * rate), *out[::-1]]


@pytest.mark.parametrize(('gone', 'expected'), [(1.8, {1}), (2.2, {1, 2})])
def test_who_comes_back_in_time_keeps_the_id(gone, expected):
  found = follow(walk_out_and_back(gone))
  assert {one for frame in found for one in frame} - {None} == expected


@pytest.mark.parametrize('rate', [10, 30, 100])
def test_being_lost_is_counted_in_seconds(rate):
  for gone, expected in ((0.8, 1), (1.2, 2)):
    frames = [[person(100)]] * 5 + [[]] * round(gone * rate) + [[person(100)]] * 3
    assert follow(frames, rate, lost_seconds=1.0)[-1] == [expected]


def test_a_new_person_gets_an_id_with_the_second_sighting_and_a_false_alarm_none():
  frames = [[person(100)], [person(100), person(250)], [person(100)], [person(100)]]
  assert follow(frames) == [[1], [1, None], [1], [1]]
  frames = [[person(100)], [person(100), person(250)], [person(251), person(100)]]
  assert follow(frames)[-1] == [2, 1]


def test_an_unsure_instance_goes_on_but_does_not_begin():
  assert follow([[person(100)], [person(101, score=0.2)], [person(102, score=0.05)]]) == [
    [1], [1], [None],
  ]  # fmt: skip
  assert follow([[person(100, score=0.55)]] * 3) == [[None]] * 3


def test_two_tracks_on_one_person_become_the_older():
  # The second comes from the right, step by step, and then stands where the first stands.
  frames = [[person(100), person(max(200 - 5 * n, 101))] for n in range(60)]
  found = follow(frames)
  assert found[5] == [1, 2]
  assert found[-1] in ([1, None], [None, 1])
  # Nor does it help that one of them is overlooked now and then.
  for n in range(20, 60, 7):
    frames[n] = frames[n][:1]
  assert follow(frames)[-1] in ([1, None], [None, 1])
  # Passing is no merging.
  frames = [[person(100), person(200 - 5 * n)] for n in range(40)]
  assert sorted(follow(frames)[-1]) == [1, 2]


def test_one_person_found_twice_in_a_frame_is_one():
  frames = [[person(100), person(101, score=0.85)]] * 10
  assert follow(frames) == [[1, None]] * 10


def test_somebody_hidden_does_not_take_over_who_stands_in_front():
  # The net finds the one in front twice while the other passes behind.
  frames = []
  for n in range(60):
    x = 40 + 4 * n
    frames.append([person(160), person(160.5 if abs(x - 160) < 26 else x, score=0.88)])
  found = follow(frames)
  assert found[0] == found[-1] == [1, 2]
  assert all(1 in frame for frame in found)
  # While the two are at one place nobody can tell them apart; that is a few steps.
  assert sum(None not in frame for frame in found) <= 60 - 13 + 7


def test_classes_are_followed_apart():
  ball = dataclasses.replace(person(100), label=1)
  assert follow([[person(100)], [ball], [ball], [person(100), ball]]) == [[1], [None], [2], [1, 2]]


def test_boxes_alone_are_followed():
  tracker = Tracker(None)
  for n in range(10):
    boxes = np.array([[20 + 3 * n, 30, 60 + 3 * n, 150], [200, 20, 240, 160]], np.float32)
    found = tracker.update([Instance(b, 0.9) for b in boxes[:: (-1) ** n]], n / 30, HW)
    assert ids(found)[:: (-1) ** n] == [1, 2]
  boxes, _ = tracker.predicted_boxes(10 / 30)
  np.testing.assert_allclose(boxes[0], [50, 30, 90, 150], atol=3)


def test_what_is_no_position_is_nobody():
  hidden = person(100, visible=np.arange(17) < 2)
  lost = dataclasses.replace(person(100), keypoints=np.full((17, 2), np.nan, np.float32))
  assert follow([[hidden, lost]] * 3) == [[None, None]] * 3
  partly = person(100)
  partly.keypoints[5:9] = np.nan
  tracker = Tracker(COCO)
  for n in range(3):
    (one,) = tracker.update([partly], n / 30, HW)
  assert one.track_id == 1
  np.testing.assert_array_equal(np.isnan(one.keypoints[:, 0]), np.isnan(partly.keypoints[:, 0]))
  assert tracker.predicted_boxes(0.2)[1] == (1,)
  assert np.isfinite(tracker.predicted_boxes(0.2)[0]).all()


def test_predicted_boxes_hold_the_next_pose():
  tracker = Tracker(COCO)
  assert tracker.predicted_boxes(0.0)[0].shape == (0, 4)
  for n in range(30):
    tracker.update([person(50 + 4 * n)], n / 30, HW)
  boxes, found = tracker.predicted_boxes(32 / 30)
  assert found == (1,)
  coming = person(50 + 4 * 32).keypoints
  assert ((coming >= boxes[0, :2]) & (coming <= boxes[0, 2:])).all()
  extent = np.ptp(FORM, axis=0)
  sides = boxes[0, 2:] - boxes[0, :2]
  assert (sides >= 1.24 * extent).all()
  assert (sides <= 1.5 * extent).all()
  tracker.update([person(50 + 4 * 30, scale=0.05)], 31 / 30, HW)
  boxes, _ = tracker.predicted_boxes(32 / 30)
  assert np.prod(boxes[0, 2:] - boxes[0, :2]) >= 999


def test_who_has_walked_out_is_not_looked_for():
  tracker = Tracker(COCO)
  for n in range(40):
    tracker.update([person(100 - 4 * n)], n / 30, HW)
  assert tracker.predicted_boxes(40 / 30)[0].shape == (0, 4)


def test_it_says_when_to_detect():
  tracker = Tracker(COCO)
  assert tracker.needs_detection
  tracker.update([person(80), person(200)], 0.0, HW)
  assert not tracker.needs_detection
  tracker.update([person(81)], 0.1, HW)
  assert tracker.lost_anyone
  assert tracker.needs_detection
  tracker.update([person(82)], 0.2, HW)  # looked for, and not found
  assert not tracker.needs_detection
  tracker.update([], 0.3, HW)
  tracker.update([], 0.4, HW)
  assert not tracker.lost_anyone
  assert tracker.needs_detection


def test_times_that_stand_still_or_run_backwards():
  tracker = Tracker(COCO)
  for time in (0.0, 0.5, 0.5, 0.5, 1.0):
    (one,) = tracker.update([person(100 + 10 * time)], time, HW)
    assert one.track_id == 1
    assert np.isfinite(one.keypoints).all()
  with pytest.raises(PosejaxError, match='0.9 s lies before the last one.*reset'):
    tracker.update([], 0.9, HW)
  with pytest.raises(PosejaxError, match='before'):
    tracker.predicted_boxes(0.9)
  with pytest.raises(PosejaxError, match='finite'):
    tracker.update([], float('nan'), HW)
  tracker.reset()
  assert ids(tracker.update([person(100)], 0.0, HW)) == [2]  # another film, another id


def test_another_skeleton_s_keypoints_are_refused():
  with pytest.raises(PosejaxError, match="skeleton 'coco'"):
    Tracker(COCO).update([Instance(np.zeros(4), 0.9, 0, np.zeros((5, 2)))], 0.0, HW)
  with pytest.raises(PosejaxError, match='no skeleton'):
    Tracker(None).update([person(100)], 0.0, HW)


def test_unknown_people_and_unsmoothed_ones_come_back_as_they_are():
  unknown = person(100, score=0.3)
  assert Tracker(COCO).update([unknown], 0.0, HW)[0] is unknown
  tracker = Tracker(COCO, smoothing=None)
  for n in range(3):
    given_ = person(100 + 9 * n)
    (one,) = tracker.update([given_], n / 30, HW)
    assert one.keypoints is given_.keypoints
    assert one.box is given_.box
  tracker = Tracker(COCO, smoothing=Smoothing(min_cutoff=0.1, beta=0))
  for n in range(3):
    (one,) = tracker.update([person(100 + 9 * n)], n / 30, HW)
  assert one.keypoints.dtype == one.box.dtype == np.float32
  assert (one.keypoints[:, 0] < person(109).keypoints[:, 0]).all()
  assert (one.box[[0, 2]] < person(109).box[[0, 2]]).all()


crowds = st.lists(
  st.lists(
    st.tuples(st.integers(-40, 360), st.integers(-40, 220), st.floats(0, 1), st.integers(0, 3)),
    max_size=5,
    unique_by=lambda row: row[:2],
  ),
  max_size=8,
)


def _spoilt(x, y, score, kind):
  """A person; of some kinds there is little to be seen, or nothing."""
  one = person(x, y, score)
  if kind == 1:
    one.keypoints[::3] = np.nan
  if kind == 2:
    one = dataclasses.replace(one, visible=np.arange(17) < 4)
  if kind == 3:
    one = dataclasses.replace(one, keypoints=None, keypoint_scores=None, visible=None)
  return one


@settings(max_examples=40, deadline=None)
@given(crowds, st.lists(st.floats(0, 3), min_size=8, max_size=8), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_ids_are_ids(frames, steps, random):
  one, other = Tracker(COCO), Tracker(COCO)
  time, gone, before, highest = 0.0, set(), {}, 0
  for frame, step in zip(frames, steps, strict=False):
    time += step
    frame = [_spoilt(*row) for row in frame]
    order = list(range(len(frame)))
    random.shuffle(order)
    found = one.update(frame, time, HW)
    shuffled = other.update([frame[i] for i in order], time, HW)
    assert ids(shuffled) == [found[i].track_id for i in order]
    for place, i in enumerate(order):
      np.testing.assert_array_equal(shuffled[place].keypoints, found[i].keypoints)
      np.testing.assert_array_equal(shuffled[place].box, found[i].box)
    known = [n for n in ids(found) if n is not None]
    assert len(set(known)) == len(known)
    assert not gone & set(known)
    new = sorted(set(known) - set(before))
    assert new == list(range(highest + 1, highest + 1 + len(new)))
    highest += len(new)
    before |= dict.fromkeys(known, time)
    # Who has not been seen for longer than people are remembered never comes back.
    gone |= {n for n, last in before.items() if time - last > 2.0 and n not in known}


def test_nobody_is_nobody():
  tracker = Tracker(COCO)
  assert tracker.update([], 0.0, HW) == ()
  assert tracker.update((), 0.1, HW) == ()
  assert ids(tracker.update([person(100)], 0.2, HW)) == [None]
  assert ids(tracker.update([person(100)], 0.3, HW)) == [1]


def test_a_perfect_net_needs_no_second_thoughts():
  film = DrawnFilm(5, num_frames=60, people=3)
  perfect = Noise(jitter=0, missed=0, false=0, unsure=0)
  named, found, truth = record(film, {'smoothing': None}, perfect)
  assert tracks.id_switches(named) == 0
  known = np.isfinite(found)
  np.testing.assert_array_equal(found[known], np.float32(truth[known]))
