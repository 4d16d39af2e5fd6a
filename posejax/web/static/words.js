// What is said about results, on the page and to a screen reader.

/** Return what was found in words: '2 people', 'no person', 'cat (91 %)'. */
export function describe(info, instances, threshold) {
  if (!info.keypoints.length) {
    const sure = instances.filter((i) => i.score >= threshold);
    return sure.map((i) => `${i.label} (${Math.round(100 * i.score)} %)`).join(', ') || 'nothing sure';
  }
  const shown = instances.filter((i) => i.keypoints.some((k) => k.score >= threshold)).length;
  const name = info.class_names.length === 1 ? info.class_names[0] : 'figure';
  if (shown === 1) return `1 ${name}`;
  const plural = name === 'person' ? 'people' : `${name}s`;
  return shown ? `${shown} ${plural}` : `no ${name}`;
}

/** Return how many keypoints are sure enough, in words, or ''. */
export function describeKeypoints(instances, threshold) {
  const keypoints = instances.flatMap((i) => i.keypoints ?? []);
  if (!keypoints.length) return '';
  const sure = keypoints.filter((k) => k.score >= threshold).length;
  return `${sure} of ${keypoints.length} keypoints shown`;
}
