// Skeletons on a canvas, in the colours and after the rules of posejax/draw.py.

const FAINTEST = 0.3; // of what is just sure enough to be shown
const FULL_AFTER = 0.3; // confidence above the threshold from which on nothing is faded

/** Return how opaque something of this confidence is: 0 below the threshold, 1 well above it. */
export function opacity(score, threshold) {
  if (score < threshold) return 0;
  const above = (score - threshold) / Math.max(Math.min(FULL_AFTER, 1 - threshold), 1e-6);
  return Math.min(1, FAINTEST + (1 - FAINTEST) * above);
}

/** Return the side that a limb between two keypoints belongs to. */
export function limbSide(info, [a, b]) {
  const sides = new Set([info.sides[a], info.sides[b]]);
  sides.delete('middle');
  return sides.size === 1 ? [...sides][0] : 'middle';
}

export function cssColor(info, side) {
  return `rgb(${info.colors[side].join(' ')})`;
}

/**
 * Draw what was found.
 *
 * `place` maps the picture to the canvas: {scale, x, y, mirror}; with `mirror`, a width in picture
 * pixels, everything is drawn mirrored, and words still read from left to right.
 */
export function drawInstances(context, info, instances, threshold, place) {
  const size = Math.max(place.size ?? 0, 1);
  const toCanvas = (x, y) => [
    ((place.mirror ? place.mirror - 1 - x : x) + 0.5) * place.scale + place.x,
    (y + 0.5) * place.scale + place.y,
  ];
  context.save();
  context.lineCap = 'round';
  for (const instance of instances) {
    if (instance.keypoints) {
      drawSkeleton(context, info, instance.keypoints, threshold, toCanvas, size);
    } else {
      drawBox(context, instance, threshold, toCanvas, size);
    }
  }
  context.restore();
}

function drawSkeleton(context, info, keypoints, threshold, toCanvas, size) {
  const points = keypoints.map((k) => toCanvas(k.x, k.y));
  const alphas = keypoints.map((k) => opacity(k.score, threshold));
  const width = Math.max(2, size / 130);
  for (const limb of info.limbs) {
    const alpha = Math.min(alphas[limb[0]], alphas[limb[1]]);
    if (!alpha) continue;
    // A dark edge, so that limbs are seen on any ground.
    for (const [color, extra] of [['rgb(0 0 0)', width * 0.6], [cssColor(info, limbSide(info, limb)), 0]]) {
      context.globalAlpha = extra ? alpha * 0.45 : alpha;
      context.strokeStyle = color;
      context.lineWidth = width + extra;
      context.beginPath();
      context.moveTo(...points[limb[0]]);
      context.lineTo(...points[limb[1]]);
      context.stroke();
    }
  }
  points.forEach((point, k) => {
    if (!alphas[k]) return;
    context.globalAlpha = alphas[k];
    context.fillStyle = cssColor(info, info.sides[k]);
    context.strokeStyle = 'white';
    context.lineWidth = Math.max(1, width / 3);
    context.beginPath();
    context.arc(...point, width * 1.25, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  });
}

function drawBox(context, instance, threshold, toCanvas, size) {
  const alpha = opacity(instance.score, threshold);
  if (!alpha) return;
  const [x1, y1] = toCanvas(instance.box[0], instance.box[1]);
  const [x2, y2] = toCanvas(instance.box[2], instance.box[3]);
  const [x, y] = [Math.min(x1, x2), Math.min(y1, y2)];
  context.globalAlpha = alpha;
  context.strokeStyle = context.fillStyle = 'rgb(255 230 0)';
  context.lineWidth = Math.max(2, size / 250);
  context.strokeRect(x, y, Math.abs(x2 - x1), Math.abs(y2 - y1));
  const height = Math.max(13, size / 32);
  context.font = `600 ${height}px system-ui, sans-serif`;
  const text = `${instance.label} ${Math.round(100 * instance.score)} %`;
  context.fillRect(x, y, context.measureText(text).width + height, height * 1.5);
  context.fillStyle = 'black';
  context.globalAlpha = 1;
  context.fillText(text, x + height / 2, y + height * 1.1);
}

/** Show what the colours mean, for skeletons that have sides. */
export function showLegend(list, info) {
  const names = { left: "person's left", right: "person's right", middle: 'middle' };
  const sides = ['left', 'right', 'middle'].filter((side) => info.sides.includes(side));
  list.replaceChildren(...sides.map((side) => {
    const item = document.createElement('li');
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    for (const [name, value] of [['width', 22], ['height', 10], ['aria-hidden', 'true']]) {
      svg.setAttribute(name, value);
    }
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    const values = { x1: 4, y1: 5, x2: 18, y2: 5, stroke: cssColor(info, side) };
    Object.entries({ ...values, 'stroke-width': 6, 'stroke-linecap': 'round' }).forEach(
      ([name, value]) => line.setAttribute(name, value),
    );
    svg.append(line);
    item.append(svg, names[side]);
    return item;
  }));
}
