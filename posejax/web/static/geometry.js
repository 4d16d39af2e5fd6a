// Crops: where the net looks, and the way back. Points are [x, y], boxes [x1, y1, x2, y2], pixel
// centres at integers, as everywhere in posejax.

// Of the next box, as posejax/infer/tracking/crops.py has them and says why.
const PADDING = 1.25;
const MIN_AREA = 1000;

/**
 * Return the crop that shows a person's box to the net, to the pixel the one of posejax/geometry/affine.py.
 *
 * `view` is {input: [H, W], padding, convention}: the box is brought to the aspect of the input and grown
 * `padding` times about its middle. The answer {scale, offset} maps a picture's point p to
 * p' = p * scale + offset, along x and y.
 */
export function cropAround(box, { input: [H, W], padding, convention }) {
  const [width, height] = [box[2] - box[0], box[3] - box[1]];
  // A line has no region: a pixel each way is the least that is looked at.
  const size = [Math.max(width, (height * W) / H), Math.max(height, (width * H) / W)]
    .map((side) => Math.max(side * padding, 1));
  const middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const [scale, target] = CONVENTIONS[convention](size, [W, H]);
  return { scale, offset: middle.map((m, i) => target[i] - m * scale[i]) };
}

// By name: (region [w, h], crop [W, H]) to the scales along x and y, and where the region's middle goes.
export const CONVENTIONS = {
  msra: ([w], [W, H]) => [[W / w, W / w], [W / 2, H / 2]],
  udp: ([w, h], [W, H]) => [[(W - 1) / w, (H - 1) / h], [(W - 1) / 2, (H - 1) / 2]],
};

/** Return the box of a whole picture of `hw`: the centres of its outermost pixels. */
export function wholePicture([h, w]) {
  return [0, 0, w - 1, h - 1];
}

/** Return the person's box around sure keypoints, to look into in the next frame. */
export function personBox(points) {
  const [x1, y1, x2, y2] = boxOf(points);
  let [w, h] = [(x2 - x1) * PADDING, (y2 - y1) * PADDING];
  if (w * h < MIN_AREA) {
    const grow = (Math.sqrt((w - h) ** 2 + 4 * MIN_AREA) - (w + h)) / 2;
    [w, h] = [w + grow, h + grow];
  }
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}

/** Return a box with the corners that lie outside the picture of `hw` on its outermost pixels. */
export function clipped([x1, y1, x2, y2], [h, w]) {
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  return [inside(x1, w - 1), inside(y1, h - 1), inside(x2, w - 1), inside(y2, h - 1)];
}

/** Return where a picture's point lies in a crop. */
export function toCrop(crop, point) {
  return point.map((value, i) => value * crop.scale[i] + crop.offset[i]);
}

/** Return where a crop's point lies in the picture. */
export function toPicture(crop, point) {
  return point.map((value, i) => (value - crop.offset[i]) / crop.scale[i]);
}

/** Return where drawImage puts the whole picture of `hw` for a crop: [x, y, width, height]. */
export function placement(crop, [h, w]) {
  // A canvas counts from the edge of its first pixel, half a pixel before its centre.
  const [x, y] = toCrop(crop, [-0.5, -0.5]);
  return [x + 0.5, y + 0.5, w * crop.scale[0], h * crop.scale[1]];
}

/** Return the smallest box around points. */
function boxOf(points) {
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** Return where `object-fit: contain` shows a picture of `hw` in a box of `boxHw`: {scale, x, y}. */
export function contain([h, w], [boxH, boxW]) {
  const scale = Math.min(boxW / w, boxH / h);
  return { scale, x: (boxW - w * scale) / 2, y: (boxH - h * scale) / 2 };
}
