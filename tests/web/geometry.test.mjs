// The page's crops, against those that test_page.py had posejax make: GEOMETRY_CASES names their file.
// Run by test_page.py.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { contain, cropAround, personBox, placement, toCrop, toPicture, wholePicture }
  from '../../posejax/web/static/geometry.js';
import { RESCORINGS } from '../../posejax/web/static/scores.js';

const { cases, people, scores } = JSON.parse(readFileSync(process.env.GEOMETRY_CASES, 'utf8'));
const close = (a, b, within = 1e-9) => {
  assert.equal(a.length, b.length);
  a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) < within, `${a} is not ${b}`));
};

test('crops are those of the Predictor', () => {
  assert.ok(cases.length > 20);
  for (const { view, box, picture, matrix } of cases) {
    const crop = cropAround(box ?? wholePicture(picture), view);
    // [[sx, 0, ox], [0, sy, oy]] leads from the crop to the picture.
    for (const point of [[0, 0], [17.25, -3.5], [200, 61]]) {
      const there = matrix.map(([a, b, c]) => a * point[0] + b * point[1] + c);
      close(toPicture(crop, point), there, 1e-3); // float32 there
    }
  }
});

test('there and back', () => {
  for (const { view, box, picture } of cases) {
    const crop = cropAround(box ?? wholePicture(picture), view);
    for (const point of [[0, 0], [12.25, -3.5], [99, 61]]) close(toPicture(crop, toCrop(crop, point)), point, 1e-6);
  }
});

test('a picture is put where its pixels belong', () => {
  for (const { view, box, picture: [h, w] } of cases) {
    const crop = cropAround(box ?? wholePicture([h, w]), view);
    const [x, y, width, height] = placement(crop, [h, w]);
    // The middle of the first pixel and of the last, counted from the canvas's edge.
    const first = [x + width / w / 2, y + height / h / 2];
    const last = [x + width - width / w / 2, y + height - height / h / 2];
    close(first, toCrop(crop, [0, 0]).map((v) => v + 0.5), 1e-6);
    close(last, toCrop(crop, [w - 1, h - 1]).map((v) => v + 0.5), 1e-6);
  }
});

test('the next box is the one that the tracker looks into', () => {
  assert.ok(people.length > 2);
  for (const { points, box } of people) close(personBox(points), box);
});

test('people are scored as by the Predictor', () => {
  assert.ok(scores.length > 5);
  for (const { rule, keypoints, person } of scores) close([RESCORINGS[rule](keypoints)], [person]);
});

test('contain shows a picture whole and in the middle', () => {
  assert.deepEqual(contain([480, 640], [1000, 640]), { scale: 1, x: 0, y: 260 });
  assert.deepEqual(contain([480, 640], [240, 1000]), { scale: 0.5, x: 340, y: 0 });
});
