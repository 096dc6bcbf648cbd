// The points of the learning curves that are kept, however long the tab is open.

/** Those of some hours; no plot draws more than a tenth as many. */
const MOST = 20_000;
/** The newest, of which none is dropped. */
const RECENT = MOST / 4;

/** The points, thinned where there are too many. @param {Object[]} points by growing time @returns {Object[]} */
export function capped(points) {
  let kept = points;
  while (kept.length > MOST) kept = thinned(kept);
  return kept;
}

/**
 * Without every second of the old points that are closest together. Those that were thinned before are further
 * apart and stay, so that the curves' beginning is not lost, and so do the few of a rare kind.
 */
function thinned(points) {
  const gaps = gapsOf(points);
  const close = gaps.slice().sort()[points.length >> 1];
  const dropped = new Set(); // kinds of which the point before was dropped
  return points.filter(({ kind }, index) => {
    const drop = index < points.length - RECENT && gaps[index] <= close && !dropped.has(kind);
    if (drop) dropped.add(kind);
    else dropped.delete(kind);
    return !drop;
  });
}

/** Seconds between each point and the one before of its kind. */
function gapsOf(points) {
  const last = new Map();
  return Float64Array.from(points, ({ kind, at }) => {
    const gap = at - (last.get(kind) ?? -Infinity);
    last.set(kind, at);
    return gap;
  });
}
