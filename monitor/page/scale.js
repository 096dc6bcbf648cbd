// Axes: round ticks, scales that turn values into pixels, and fewer points where there are too many.

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Round values in low..high, about `wanted` of them. @returns {number[]} */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const digit = [[1.5, 1], [3.2, 2], [7.1, 5], [Infinity, 10]].find(([below]) => rough / power < below)[1];
  return stepped(low, high, digit * power);
}

/** Round times in low..high seconds. @returns {number[]} */
export function timeTicks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const days = Math.ceil(rough / 86400) * 86400;
  return stepped(low, high, TIME_STEPS.find((step) => step >= rough) ?? days);
}

/** Powers of ten in low..high; where there are fewer than two, twos and fives too. @returns {number[]} */
export function logTicks(low, high) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) powers.push(10 ** power);
  const within = (values) => values.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  const tens = within(powers);
  const finer = within(powers.flatMap((power) => [power, 2 * power, 5 * power]));
  if (tens.length >= 2) return thinned(tens, 4);
  return finer.length >= 2 ? thinned(finer, 4) : ticks(low, high, 3);
}

/** A time on an axis: 30 s, 5 min, 2 h. */
export function timeWords(seconds) {
  if (seconds === 0) return "0";
  if (seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds >= 7200) return `${Math.floor(seconds / 3600)}:${String(Math.round(seconds / 60) % 60).padStart(2, "0")} h`;
  return seconds >= 60 ? `${Number((seconds / 60).toFixed(1))} min` : `${Number(seconds.toFixed(1))} s`;
}

function stepped(low, high, step) {
  const values = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-6; index++) {
    values.push(Number((index * step).toPrecision(12)));
  }
  return values;
}

function thinned(values, most) {
  const every = Math.ceil(values.length / most);
  return values.filter((_, index) => index % every === 0);
}

/** A function from low..high to start..end. @param {boolean} log whether by factors rather than differences */
export function scale(low, high, start, end, log = false) {
  const on = log ? Math.log : Number;
  const [bottom, span] = [on(low), on(high) - on(low) || 1];
  return (value) => start + ((on(value) - bottom) / span) * (end - start);
}

/**
 * At most about `most` points that look like all of them: of each piece the least and the largest.
 * @param {Array<{x: number, y: number}>} points
 */
export function decimated(points, most) {
  if (points.length <= most) return points;
  const pieces = Math.floor(most / 2);
  const kept = [points[0]];
  for (let piece = 0; piece < pieces; piece++) {
    const from = Math.floor((piece * points.length) / pieces);
    const to = Math.floor(((piece + 1) * points.length) / pieces);
    let [least, largest] = [from, from];
    for (let index = from; index < to; index++) {
      if (points[index].y < points[least].y) least = index;
      if (points[index].y > points[largest].y) largest = index;
    }
    for (const index of [...new Set([least, largest])].sort((a, b) => a - b)) kept.push(points[index]);
  }
  kept.push(points.at(-1));
  return kept;
}
