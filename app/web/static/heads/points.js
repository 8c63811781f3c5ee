/** What a head would do at every threshold that its report tells of, in counts of labelled rows. */

/**
 * @typedef {{threshold: number, found: number, alarms: number}} Point  positives at or above the threshold, and others
 * @param {Object} drawn  what the page gives of the report
 * @returns {{points: Point[], positives: number, negatives: number, own: number, review: number|null}}
 *   `points` by rising threshold; `own` and `review`: which of them are the head's threshold and its band's lower end
 */
export function operatingPoints(drawn) {
  const { positives, negatives } = sizes(drawn);
  const given = [
    ...drawn.sweep.map((one) => [one.threshold, one.recall, one.false_alarm_rate]),
    ...drawn.curves.roc.threshold.map((at, index) => [at, drawn.curves.roc.recall[index], drawn.curves.roc.false_positive_rate[index]]),
  ];
  const known = new Map();
  for (const [threshold, recall, alarms] of given) {
    if (threshold === null || recall === null || alarms === null) continue;
    const point = { threshold, found: Math.round(recall * positives), alarms: Math.round(alarms * negatives) };
    const key = `${point.found} ${point.alarms}`;
    const ours = threshold === drawn.threshold || threshold === drawn.review_from;
    if (!known.has(key) || ours) known.set(key, point);
  }
  const points = [...known.values()].sort((a, b) => b.found + b.alarms - (a.found + a.alarms) || b.alarms - a.alarms);
  return { points, positives, negatives, own: index(points, drawn.threshold), review: drawn.review_from === null ? null : index(points, drawn.review_from) };
}

function sizes(drawn) {
  const counted = drawn.measured;
  if (counted) return { positives: counted.recall.n, negatives: counted.false_alarms.n };
  const positives = drawn.class_counts[drawn.positive];
  const all = Object.values(drawn.class_counts).reduce((sum, count) => sum + count, 0);
  return { positives, negatives: all - positives };
}

/** Which point is at a threshold, or nearest to it. */
export function index(points, threshold) {
  let best = 0;
  points.forEach((point, at) => {
    if (Math.abs(point.threshold - threshold) < Math.abs(points[best].threshold - threshold)) best = at;
  });
  return best;
}

/**
 * What 1,000 scans would bring, where `share` of them are positive: opened, missed, false alarms.
 * `lower`: the point from which on a person looks, where that is another.
 */
export function perThousand(all, point, share, lower = point) {
  const found = lower.found / all.positives;
  const alarms = point.alarms / all.negatives;
  return {
    missed: 1000 * share * (1 - found),
    alarms: 1000 * (1 - share) * alarms,
    opened: 1000 * (share * found + (1 - share) * (lower.alarms / all.negatives)),
  };
}
