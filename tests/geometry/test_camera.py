import json
import os

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax.data.builders import panoptic
from posejax.geometry import camera as camera_lib

HW = (1080, 1920)


def make_camera(seed=0, distortion=(-0.22, 0.2, 1e-3, -2e-3, 0.024)):
  rng = np.random.default_rng(seed)
  rotation = cv2.Rodrigues(rng.normal(size=3))[0]
  intrinsics = np.array([[1630.0, 0, 942], [0, 1590.0, 558], [0, 0, 1]])
  translation = rng.normal(size=3) * 20
  return camera_lib.Camera(intrinsics, np.array(distortion), rotation, translation, HW)


def before(camera, rng, number=50, spread=0.8):
  """Return points in the world that lie before the camera, within `spread` of its axis."""
  depth = rng.uniform(50, 400, number)
  seen = np.stack([*(rng.uniform(-spread, spread, (2, number)) * depth), depth], axis=-1)
  return (seen - camera.translation) @ camera.rotation


def by_opencv(camera, points):
  vector = cv2.Rodrigues(camera.rotation)[0]
  return cv2.projectPoints(
    points, vector, camera.translation, camera.intrinsics, camera.distortion
  )[0][:, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_projects_as_opencv_does(seed):
  camera = make_camera(seed)
  points = before(camera, np.random.default_rng(seed), spread=0.6)
  pixels, valid = camera.project(points)
  assert valid.all()
  np.testing.assert_allclose(pixels, by_opencv(camera, points), atol=1e-6)


def test_points_behind_the_camera_are_not_valid():
  camera = make_camera()
  points = before(camera, np.random.default_rng(0))
  mirrored = 2 * camera.center - points
  pixels, valid = camera.project(np.stack([points, mirrored]))
  assert valid[0].all()
  assert not valid[1].any()
  assert np.isfinite(pixels).all()


def test_what_the_distortion_folds_back_into_the_picture_is_not_valid():
  # Barrel distortion alone grows only up to r^2 = 1 / (3 * 0.3).
  camera = make_camera(distortion=(-0.3, 0, 0, 0, 0))
  radii = np.linspace(0, 3, 200)
  seen = np.stack([radii, 0 * radii, 1 + 0 * radii], axis=-1) * 100
  points = (seen - camera.translation) @ camera.rotation
  pixels, valid = camera.project(points)
  np.testing.assert_array_equal(valid, radii < np.sqrt(1 / 0.9))
  assert (np.diff(pixels[valid][:, 0]) > 0).all()
  folded = by_opencv(camera, points[radii > 1.7])
  assert ((folded > 0) & (folded < HW[::-1])).all(axis=1).any()  # so it does matter


def test_the_centre_is_where_rays_meet():
  camera = make_camera()
  assert np.allclose(camera.rotation @ camera.center + camera.translation, 0)


@pytest.mark.parametrize('sequence', ['160906_band1', '160906_band2'])
def test_real_cameras_see_real_people(real_data, sequence):
  folder = os.path.join(real_data, 'fixtures', 'panoptic_body3d', sequence)
  cameras = panoptic.read_cameras(os.path.join(folder, f'calibration_{sequence}.json'))
  assert sorted(cameras) == [f'00_{n:02d}' for n in range(31)]
  poses = os.path.join(folder, 'hdPose3d_stage1_coco19')
  inside = []
  for name in sorted(os.listdir(poses)):
    with open(os.path.join(poses, name)) as file:
      bodies = json.load(file)['bodies']
    for body in bodies:
      joints = np.array(body['joints19']).reshape(19, 4)
      points = joints[joints[:, 3] > 0.1, :3]
      for camera in cameras.values():
        pixels, valid = camera.project(points)
        np.testing.assert_allclose(pixels[valid], by_opencv(camera, points)[valid], atol=1e-6)
        h, w = camera.image_hw
        inside.append(np.mean(valid & ((pixels >= 0) & (pixels < (w, h))).all(axis=1)))
  # The HD cameras stand around the dome and look at its middle.
  assert np.mean(inside) > 0.85
