// The learning curves: which there are, and small plots of them with one cursor for all.

import { byId, keep, make, mark, say } from "./dom.js";
import { compact, counted, measured, percent } from "./format.js";
import { coalesced } from "./loop.js";
import { Plot } from "./plot.js";
import { timeWords } from "./scale.js";

/**
 * @typedef {Object} Kind
 * @property {string} key
 * @property {string} title
 * @property {string} kind of the points
 * @property {string} value its name among their values
 */
const FIXED = [
  { key: "return", title: "Return, scored", kind: "evaluation", value: "return", band: true, colour: "--curve-1" },
  { key: "clean_lap_rate", title: "Clean laps of all laps", kind: "evaluation", value: "clean_lap_rate", range: [0, 1], words: (rate) => percent(rate), colour: "--curve-2" },
  { key: "lap_time", title: "Lap time, s", kind: "evaluation", value: "lap_time", band: true, colour: "--curve-3" },
  { key: "collection_return", title: "Return, exploring", kind: "collection", value: "return", colour: "--curve-1" },
];
const RATES = [
  { key: "env_steps_per_s", title: "Steps / s", kind: "collection", value: "env_steps_per_s", colour: "--curve-5" },
  { key: "train_steps_per_s", title: "Trained / s", kind: "training", value: "train_steps_per_s", colour: "--curve-5" },
];

const loss = (value) => ({ key: value, title: value.replaceAll("_", " "), kind: "training", value, log: true, colour: "--curve-4" });

/** A plot with its heading. */
class Panel {
  constructor(spec, moved) {
    this.spec = spec;
    this.cursor = null;
    /** @type {?import("./plot.js").Figure} */
    this.figure = null;
    this.value = make("output.curve-value");
    this.canvas = make("canvas", { tabindex: 0, role: "img" });
    this.element = make(
      "figure.panel.curve",
      { "data-curve": spec.key, "data-points": 0 },
      make("figcaption", {}, make("span", {}, spec.title), this.value),
      this.canvas,
    );
    this.plot = new Plot(this.canvas);
    this.canvas.addEventListener("pointermove", ({ offsetX }) => this.figure && moved(this.plot.xAt(offsetX)));
    this.canvas.addEventListener("pointerleave", () => moved(null));
    this.canvas.addEventListener("blur", () => moved(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event, moved));
  }

  key(event, moved) {
    const samples = this.figure?.samples ?? [];
    if (!samples.length) return;
    const at = this.cursor ? samples.indexOf(this.cursor) : samples.length - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: samples.length - 1, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    mark(this.value, "aria-live", "polite");
    moved(to === null ? null : samples[Math.max(0, Math.min(samples.length - 1, to))].x);
  }

  /** @param {?number} cursor where all plots are read */
  draw(cursor) {
    const { figure } = this;
    const { samples, byTime } = figure;
    this.cursor = cursor === null || !samples.length ? null : nearest(samples, cursor);
    const shown = this.cursor ?? samples.at(-1);
    const words = (value) => (this.spec.words ?? measured)(value);
    const place = (x) => (byTime ? timeWords(Math.round(x)) : `${compact(x)} steps`);
    const band = shown?.low == null ? "" : ` (${words(shown.low)}…${words(shown.high)})`;
    say(this.value, shown ? words(shown.y) + band + (this.cursor ? ` · ${place(shown.x)}` : "") : "no point yet");
    mark(this.element, "data-points", samples.length);
    const last = samples.at(-1);
    const told = last ? `newest ${words(last.y)} at ${place(last.x)}, ${counted(samples.length, "point")}` : "no point yet";
    mark(this.canvas, "aria-label", `${this.spec.title}: ${told}`);
    this.plot.draw(figure, this.cursor);
  }
}

/** Keep the curves up to date. @param {import("./store.js").Store} store */
export function showCurves(store) {
  const panels = new Map();
  const axis = byId("curves-axis");
  let byTime = true;
  let cursor = null;
  let stale = true;

  const moved = (x) => {
    if (cursor === x) return;
    cursor = x;
    draw();
  };

  /** Find each panel's samples anew; a cursor that moves does not need it. */
  const renew = () => {
    const { points } = store;
    const specs = new Map([...FIXED, ...lossNames(points).map(loss), ...RATES].map((spec) => [spec.key, spec]));
    keep(byId("curves"), [...specs.keys()], panels, (key) => {
      const panel = new Panel(specs.get(key), moved);
      resizes.observe(panel.canvas);
      panel.gone = () => resizes.unobserve(panel.canvas);
      return panel;
    });
    const place = (point) => (byTime ? point.at - points[0].at : point.env_steps);
    const domain = domainOf(points.map(place));
    for (const panel of panels.values()) {
      const { range = null, log = false, colour } = panel.spec;
      panel.figure = { samples: samplesOf(points, panel.spec, place), domain, byTime, range, log, colour };
    }
    say(byId("curves-note"), counted(points.length, "point"));
  };

  const draw = coalesced(() => {
    if (stale) renew();
    stale = false;
    panels.forEach((panel) => panel.draw(cursor));
  });

  const redraw = () => {
    stale = true;
    draw();
  };

  const resizes = new ResizeObserver(draw);
  const choices = [["Time", true], ["Steps", false]].map(([name, time]) => {
    const choose = () => {
      byTime = time;
      cursor = null;
      choices.forEach((other) => mark(other, "aria-pressed", other === choice));
      redraw();
    };
    const choice = make("button.chip", { type: "button", "aria-pressed": String(time), click: choose }, name);
    return choice;
  });
  axis.append(...choices);
  store.on("curves", redraw);
  addEventListener("themechange", draw);
  redraw();
}

function lossNames(points) {
  const names = new Set();
  for (const { kind, values } of points) {
    if (kind === "training") Object.keys(values).forEach((name) => name.includes("loss") && names.add(name));
  }
  return [...names].sort();
}

/** From the least to the largest, wherever they are: the steps of a run that was resumed may go back. */
function domainOf(places) {
  const low = places.reduce((least, x) => Math.min(least, x), places[0] ?? 0);
  const high = places.reduce((most, x) => Math.max(most, x), 1);
  return [low, high];
}

function samplesOf(points, { kind, value, band }, place) {
  const samples = [];
  for (const point of points) {
    const y = point.kind === kind ? point.values[value] : null;
    if (y == null) continue;
    const low = band ? (point.values[`${value}_min`] ?? null) : null;
    const high = band ? (point.values[`${value}_max`] ?? null) : null;
    samples.push({ x: place(point), y, low, high });
  }
  return samples;
}

function nearest(samples, x) {
  return samples.reduce((best, sample) => (Math.abs(sample.x - x) < Math.abs(best.x - x) ? sample : best));
}
