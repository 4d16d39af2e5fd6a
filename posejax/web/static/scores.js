// How sure the net is of a person, of the keypoints' scores, as posejax/metrics/oks.py has it and says why.
// Box scores are 1: nobody else found the box.

const COUNTED = 0.2; // keypoints scored so or lower don't count

/** By name: keypoints' scores to the person's. */
export const RESCORINGS = {
  product: (scores) => {
    const counted = scores.filter((score) => score > COUNTED);
    return counted.length ? mean(counted) : 0;
  },
  sum: (scores) => (1 + mean(scores) + Math.max(...scores)) / 3,
};

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
