// The page's crops, against a sampling of them that knows no formula: run by test_page.py, or by
// `node --test tests/web/`.

import assert from 'node:assert/strict';
import test from 'node:test';

import { boxOf, contain, fit, placement, regionAround, toCrop, toPicture }
  from '../../posejax/web/static/geometry.js';

const close = (a, b) => a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) < 1e-9, `${a} is not ${b}`));

test('a whole picture fills the crop in one direction and is in its middle in the other', () => {
  // 40 wide, 20 high, into a crop 96 high and 64 wide: 1.6 times as large, 64 wide and 32 high.
  const crop = fit([0, 0, 40, 20], [96, 64]);
  close(placement(crop, [20, 40]), [0, 32, 64, 32]);
  // The edge of the first pixel is at -0.5 in both frames' coordinates.
  close(toCrop(crop, [-0.5, -0.5]), [-0.5, 31.5]);
  close(toCrop(crop, [39.5, 19.5]), [63.5, 63.5]);
  close(toCrop(crop, [19.5, 9.5]), [31.5, 47.5]); // middle to middle
});

test('halving puts a pixel between the two it was made of', () => {
  const crop = fit([0, 0, 64, 128], [64, 32]);
  assert.equal(crop.scale, 0.5);
  close(toPicture(crop, [0, 0]), [0.5, 0.5]);
  close(toPicture(crop, [31, 63]), [62.5, 126.5]);
});

test('there and back', () => {
  for (const [region, hw] of [[[3, -7, 55, 20], [96, 64]], [[100, 30, 10, 80], [48, 96]]]) {
    const crop = fit(region, hw);
    for (const point of [[0, 0], [12.25, -3.5], [99, 61]]) close(toPicture(crop, toCrop(crop, point)), point);
  }
});

test('a region is whole in its crop, around the same middle', () => {
  const region = [10, 20, 50, 30];
  const crop = fit(region, [96, 64]);
  const [x1, y1] = toCrop(crop, [9.5, 19.5]);
  const [x2, y2] = toCrop(crop, [59.5, 49.5]);
  close([x1, x2], [-0.5, 63.5]);
  close([(y1 + y2) / 2], [47.5]);
  assert.ok(y1 >= -0.5 && y2 <= 95.5);
});

test('the next region is 1.25 times the box, around its middle', () => {
  const points = [[10, 5], [30, 45], [20, 20]];
  close(boxOf(points), [10, 5, 30, 45]);
  const [x, y, w, h] = regionAround(points);
  close([w, h], [25, 50]);
  close([x + w / 2, y + h / 2], [20.5, 25.5]); // edges: half a pixel after the centre of pixel 20
});

test('one point still has a region', () => {
  const [, , w, h] = regionAround([[7, 9]]);
  assert.ok(w > 0 && h > 0);
});

test('contain shows a picture whole and in the middle', () => {
  assert.deepEqual(contain([480, 640], [1000, 640]), { scale: 1, x: 0, y: 260 });
  assert.deepEqual(contain([480, 640], [240, 1000]), { scale: 0.5, x: 340, y: 0 });
});
