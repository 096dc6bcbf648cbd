// One curve on a canvas: axes, the line, the band between least and largest, and a cursor.

import { themed } from "./colours.js";
import { compact, measured } from "./format.js";
import { decimated, logTicks, scale, ticks, timeTicks, timeWords } from "./scale.js";

const PAD = { left: 44, right: 12, top: 8, bottom: 20 };
const MOST_POINTS = 2000;

/**
 * @typedef {{x: number, y: number, low: ?number, high: ?number}} Sample
 * @typedef {Object} Figure what a plot shows
 * @property {Sample[]} samples by growing x
 * @property {[number, number]} domain of x
 * @property {boolean} byTime whether x is seconds, rather than steps
 * @property {boolean} log whether y goes by factors where it can
 * @property {?[number, number]} range of y, where it is known beforehand
 * @property {string} colour custom property
 */
export class Plot {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    /** @type {?Figure} */
    this.figure = null;
  }

  /** Draw. @param {Figure} figure @param {?Sample} cursor */
  draw(figure, cursor = null) {
    this.figure = figure;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!width || !height) return;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
    const { context } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const points = decimated(figure.samples, MOST_POINTS);
    const { low, high: top, log } = bounds(figure, points);
    this.x = scale(...figure.domain, PAD.left, width - PAD.right);
    this.y = scale(low, top, height - PAD.bottom, PAD.top, log);
    this.drawAxes(width, height, low, top, log);
    if (!points.length) return;
    const colour = themed(figure.colour);
    if (points.some((point) => point.low != null)) this.drawBand(points, colour);
    this.drawCurve(points, colour, height);
    this.drawDot(cursor ?? points.at(-1), colour, cursor ? height : 0);
  }

  drawAxes(width, height, low, high, log) {
    const { context, figure } = this;
    context.font = themed("--canvas-font");
    context.fillStyle = themed("--muted");
    context.strokeStyle = themed("--grid");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of log ? logTicks(low, high) : ticks(low, high, Math.max(2, (height - 28) / 34))) {
      const y = Math.round(this.y(value)) + 0.5;
      context.beginPath();
      context.moveTo(PAD.left, y);
      context.lineTo(width - PAD.right, y);
      context.stroke();
      context.fillText(measured(value), PAD.left - 6, y);
    }
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    const wanted = Math.max(2, (width - PAD.left) / 80);
    const places = figure.byTime ? timeTicks(...figure.domain, wanted) : ticks(...figure.domain, wanted);
    for (const value of places) {
      const x = this.x(value);
      if (x > width - PAD.right + 1) continue;
      context.fillText(figure.byTime ? timeWords(value) : compact(value), Math.min(x, width - 18), height - 5);
    }
  }

  drawBand(points, colour) {
    const { context } = this;
    const banded = points.filter(({ low, high }) => low != null && high != null);
    context.beginPath();
    banded.forEach(({ x, high }) => context.lineTo(this.x(x), this.y(high)));
    banded.reverse().forEach(({ x, low }) => context.lineTo(this.x(x), this.y(low)));
    context.closePath();
    context.globalAlpha = 0.16;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }

  drawCurve(points, colour, height) {
    const { context } = this;
    context.beginPath();
    points.forEach(({ x, y }) => context.lineTo(this.x(x), this.y(y)));
    context.strokeStyle = colour;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.lineCap = "round";
    context.stroke();
    if (points.some(({ low }) => low != null)) return;
    // A breath of colour below the curve; where there is a band, that is it.
    context.lineTo(this.x(points.at(-1).x), height - PAD.bottom);
    context.lineTo(this.x(points[0].x), height - PAD.bottom);
    context.closePath();
    context.globalAlpha = 0.07;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }

  drawDot({ x, y }, colour, lineHeight) {
    const { context } = this;
    const [left, top] = [this.x(x), this.y(y)];
    if (lineHeight) {
      context.strokeStyle = themed("--faint");
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(Math.round(left) + 0.5, PAD.top);
      context.lineTo(Math.round(left) + 0.5, lineHeight - PAD.bottom);
      context.stroke();
    }
    context.beginPath();
    context.arc(left, top, 3, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.strokeStyle = themed("--surface");
    context.lineWidth = 2;
    context.stroke();
    context.fill();
  }

  /** The x below a pixel of the canvas. @param {number} pixel from its left */
  xAt(pixel) {
    const [low, high] = this.figure.domain;
    const width = this.canvas.clientWidth - PAD.left - PAD.right;
    return low + ((pixel - PAD.left) / width) * (high - low);
  }
}

function bounds({ range, log }, points) {
  if (range) return { low: range[0], high: range[1], log: false };
  let [low, high] = [Infinity, -Infinity];
  for (const point of points) {
    low = Math.min(low, point.low ?? point.y);
    high = Math.max(high, point.high ?? point.y);
  }
  if (low > high) return { low: 0, high: 1, log: false };
  if (log && low > 0) return { low: low / 1.15, high: high * 1.15, log: true };
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  // What is never negative is not drawn as if it could be.
  return { low: low >= 0 ? Math.max(0, low - room) : low - room, high: high + room, log: false };
}
