// Small instruments of a card: what the policy sees, bars, and what the return is made of.

import { keep, make, mark, say } from "./dom.js";
import { fixed, signed } from "./format.js";

const CELL = 26;
const GAP = 2;
/** What a share of red, green and blue looks like: near the colours of the floor in the pictures. */
const PRIMARIES = [
  [255, 78, 102],
  [48, 208, 142],
  [76, 132, 232],
];

/** Where the cells of a kind of observation lie, in cells. */
const LAYOUTS = {
  // Six bands of eight columns, the farthest band first.
  color_grid: { columns: 8, rows: 6, place: (cell) => [cell % 8, Math.floor(cell / 8)] },
  // Four groups of columns along the top, four of rows down the side.
  color_mass: { columns: 5, rows: 5, place: (cell) => (cell < 4 ? [cell + 1, 0] : [0, cell - 3]) },
};

function layoutOf(kind, cells) {
  return (
    LAYOUTS[kind] ?? {
      columns: 8,
      rows: Math.max(1, Math.ceil(cells / 8)),
      place: (cell) => [cell % 8, Math.floor(cell / 8)],
    }
  );
}

/** The colours that the policy sees. */
export class Observation {
  /** @param {string} car */
  constructor(car) {
    this.element = make("canvas.observation", { role: "img", "aria-label": `What the policy of ${car} sees` });
    this.last = null;
  }

  /** @param {?string} encoded uint8 [cells, 3], base64 @param {?Object} run RunInfo */
  update(encoded, run) {
    if (!run || encoded === this.last) return;
    this.last = encoded;
    const bytes = decoded(encoded ?? "");
    const cells = Math.min(run.observation_shape?.[0] ?? 0, Math.floor(bytes.length / 3));
    const { columns, rows, place } = layoutOf(run.observation, cells);
    const [width, height] = [columns * CELL, rows * CELL];
    if (this.element.width !== width || this.element.height !== height) {
      Object.assign(this.element, { width, height });
      mark(this.element, "data-kind", run.observation);
    }
    const context = this.element.getContext("2d");
    context.clearRect(0, 0, width, height);
    for (let cell = 0; cell < cells; cell++) {
      const [column, row] = place(cell);
      context.fillStyle = mixed(bytes.subarray(3 * cell, 3 * cell + 3));
      context.fillRect(column * CELL + GAP / 2, row * CELL + GAP / 2, CELL - GAP, CELL - GAP);
    }
  }
}

/** @param {Uint8Array} shares of red, green and blue, 0..255 */
function mixed(shares) {
  const channel = (index) => PRIMARIES.reduce((sum, colour, which) => sum + (colour[index] * shares[which]) / 255, 0);
  return `rgb(${[0, 1, 2].map((index) => Math.min(255, Math.round(channel(index)))).join(" ")})`;
}

function decoded(encoded) {
  try {
    return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** A bar with its name and its value in words; from the left end, or from the middle both ways. */
export class Bar {
  /** @param {string} name @param {boolean} middle whether zero is in the middle */
  constructor(name, middle = false) {
    this.middle = middle;
    this.fill = make("span.fill");
    this.value = make("span.value");
    this.track = make(middle ? "span.bar.middle" : "span.bar", { "aria-hidden": "true" }, this.fill);
    this.element = make("div.gauge", {}, make("span.name", {}, name), this.track, this.value);
  }

  /** @param {?number} share 0..1, or -1..1 about the middle, positive to the right @param {string} words */
  update(share, words) {
    const clipped = Math.max(this.middle ? -1 : 0, Math.min(1, share ?? 0));
    this.fill.style.transform = `scaleX(${clipped.toFixed(3)})`;
    say(this.value, words);
  }
}

/** What an episode's return is made of, by name. */
export class Terms {
  constructor() {
    this.element = make("div.terms", { role: "group", "aria-label": "What the return is made of" });
    this.bars = new Map();
  }

  /** @param {?Object<string, number>} terms */
  update(terms) {
    const names = Object.keys(terms ?? {});
    keep(this.element, names, this.bars, (name) => new Bar(name, true));
    const largest = names.reduce((most, name) => Math.max(most, Math.abs(terms[name])), 1e-9);
    for (const name of names) {
      const bar = this.bars.get(name);
      const value = terms[name];
      bar.update(value / largest, value === 0 ? "0" : signed(value, Math.abs(value) < 100 ? 1 : 0));
      mark(bar.element, "data-sign", terms[name] < 0 ? "minus" : "plus");
    }
    this.element.hidden = names.length === 0;
  }
}

/** The bars of what the car is told to do. */
export class Commands {
  constructor() {
    this.throttle = new Bar("Throttle");
    this.steering = new Bar("Steering", true);
    this.element = make("div.commands", {}, this.throttle.element, this.steering.element);
  }

  /** @param {?Object} telemetry @param {number} throttleMax what full throttle is */
  update(telemetry, throttleMax) {
    const { throttle = null, turn = null } = telemetry ?? {};
    this.throttle.update(throttle === null ? null : throttle / (throttleMax || 1), fixed(throttle, 2));
    // A positive turn is to the left, and so its bar goes to the left.
    this.steering.update(turn === null ? null : -turn, steeringWords(turn));
  }
}

/** Which way, and how far. @param {?number} turn positive to the left */
export function steeringWords(turn) {
  if (turn === null) return fixed(null);
  if (Math.abs(turn) < 0.005) return "0.00";
  return `${turn > 0 ? "L" : "R"} ${Math.abs(turn).toFixed(2)}`;
}
