// Crops: where the net looks, and the way back. Points are [x, y], boxes [x1, y1, x2, y2], pixel
// centres at integers, as everywhere in posejax.

const PADDING = 1.25; // a box around keypoints leaves out hands, feet and hair

/**
 * Return the crop of `inputHw` that shows all of a region, keeping its aspect.
 *
 * `region` is [left, top, width, height], with edges and not centres: [0, 0, w, h] is a whole picture.
 * The answer {scale, x, y} maps a picture's point p to p' = (p + 0.5) * scale - 0.5 + offset.
 */
export function fit(region, inputHw) {
  const [left, top, width, height] = region;
  const [H, W] = inputHw;
  const scale = Math.min(W / width, H / height);
  return {
    scale,
    x: (W - width * scale) / 2 - left * scale,
    y: (H - height * scale) / 2 - top * scale,
  };
}

/** Return where a picture's point lies in a crop. */
export function toCrop(crop, [x, y]) {
  return [(x + 0.5) * crop.scale - 0.5 + crop.x, (y + 0.5) * crop.scale - 0.5 + crop.y];
}

/** Return where a crop's point lies in the picture. */
export function toPicture(crop, [x, y]) {
  return [(x + 0.5 - crop.x) / crop.scale - 0.5, (y + 0.5 - crop.y) / crop.scale - 0.5];
}

/** Return where drawImage puts the whole picture of `hw` for a crop: [x, y, width, height]. */
export function placement(crop, [h, w]) {
  return [crop.x, crop.y, w * crop.scale, h * crop.scale];
}

/** Return the region of the next crop: around points, padded. */
export function regionAround(points) {
  const box = boxOf(points);
  const width = Math.max(box[2] - box[0], 1) * PADDING;
  const height = Math.max(box[3] - box[1], 1) * PADDING;
  const x = (box[0] + box[2]) / 2 + 0.5;
  const y = (box[1] + box[3]) / 2 + 0.5;
  return [x - width / 2, y - height / 2, width, height];
}

/** Return the smallest box around points. */
export function boxOf(points) {
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** Return where `object-fit: contain` shows a picture of `hw` in a box of `boxHw`: {scale, x, y}. */
export function contain([h, w], [boxH, boxW]) {
  const scale = Math.min(boxW / w, boxH / h);
  return { scale, x: (boxW - w * scale) / 2, y: (boxH - h * scale) / 2 };
}
