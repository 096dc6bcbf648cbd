// A track on a canvas: how metres become pixels, and the picture of all that stands still.

import { speedColour, themed } from "./colours.js";

const MARGIN = 18;

/** A rectangle of metres fitted into a canvas: north (+z) is up, x to the right. */
export class Fit {
  /** @param {Array<[number, number]>} points @param {number} width @param {number} height pixels */
  constructor(points, width, height) {
    let [west, east, south, north] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const [x, z] of points) {
      west = Math.min(west, x);
      east = Math.max(east, x);
      south = Math.min(south, z);
      north = Math.max(north, z);
    }
    if (!points.length) [west, east, south, north] = [-1, 1, -1, 1];
    const room = [Math.max(east - west, 1), Math.max(north - south, 1)];
    this.scale = Math.min((width - 2 * MARGIN) / room[0], (height - 2 * MARGIN) / room[1]);
    this.left = width / 2 - (this.scale * (west + east)) / 2;
    this.top = height / 2 + (this.scale * (south + north)) / 2;
  }

  x(metres) {
    return this.left + metres * this.scale;
  }

  y(metres) {
    return this.top - metres * this.scale;
  }
}

/** Draw a track's floor, edges, finish line and obstacles. */
export function drawTrack(context, outline, fit) {
  const { left, right } = outline;
  const floor = themed("--floor");
  // Piece by piece: a track that crosses itself has no inside that a single polygon could tell.
  if (left.length === right.length) {
    context.fillStyle = context.strokeStyle = floor;
    context.lineWidth = 2;
    left.forEach((_, index) => {
      const next = (index + 1) % left.length;
      context.beginPath();
      trace(context, [left[index], left[next], right[next], right[index]], fit);
      context.fill();
      context.stroke(); // no hair between two pieces
    });
  } else {
    context.fillStyle = floor;
    context.beginPath();
    trace(context, left, fit);
    trace(context, right, fit);
    context.fill("evenodd");
  }
  context.strokeStyle = themed("--edge");
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  for (const edge of [left, right]) {
    context.beginPath();
    trace(context, edge, fit);
    context.stroke();
  }
  drawFinish(context, left[0], right[0], fit);
  context.fillStyle = themed("--obstacle");
  for (const corners of outline.obstacles ?? []) {
    context.beginPath();
    trace(context, corners, fit);
    context.fill();
  }
}

function drawFinish(context, left, right, fit) {
  if (!left || !right) return;
  context.strokeStyle = themed("--finish");
  context.lineWidth = 3;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(fit.x(left[0]), fit.y(left[1]));
  context.lineTo(fit.x(right[0]), fit.y(right[1]));
  context.stroke();
  context.setLineDash([]);
}

/** A closed polygon. */
function trace(context, corners, fit) {
  corners.forEach(([x, z], index) => {
    if (index) context.lineTo(fit.x(x), fit.y(z));
    else context.moveTo(fit.x(x), fit.y(z));
  });
  context.closePath();
}

/** The least and largest speed of some lines, as the legend has it. @param {Object[]} lines LapLines */
export function speedRange(lines) {
  const speeds = lines.flatMap(({ points }) => points.map(([, , speed]) => speed));
  if (!speeds.length) return null;
  const low = speeds.reduce((least, speed) => Math.min(least, speed), Infinity);
  const high = speeds.reduce((largest, speed) => Math.max(largest, speed), -Infinity);
  return { low, high: Math.max(high, low + 0.1) };
}

/** Draw the line of a lap, coloured by its speed. */
export function drawLine(context, line, range, fit) {
  context.lineWidth = 2.5;
  context.lineCap = "round";
  const { points } = line;
  for (let index = 1; index < points.length; index++) {
    const [x, z] = points[index - 1];
    const [nextX, nextZ, speed] = points[index];
    if (Math.hypot(nextX - x, nextZ - z) > 3) continue; // put elsewhere
    context.strokeStyle = speedColour((speed - range.low) / (range.high - range.low));
    context.beginPath();
    context.moveTo(fit.x(x), fit.y(z));
    context.lineTo(fit.x(nextX), fit.y(nextZ));
    context.stroke();
  }
}

/** A bar of metres in the corner, of a round length. */
export function drawScale(context, fit, height) {
  const metres = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((length) => length * fit.scale >= 40) ?? 100;
  const y = height - 10;
  context.strokeStyle = context.fillStyle = themed("--muted");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(12, y - 4);
  context.lineTo(12, y);
  context.lineTo(12 + metres * fit.scale, y);
  context.lineTo(12 + metres * fit.scale, y - 4);
  context.stroke();
  context.font = themed("--canvas-font");
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(`${metres} m`, 17, y - 5);
}
