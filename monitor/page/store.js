// What the monitor told us last, and the monitor's clock. Everything on the page is drawn from here.

import { capped } from "./points.js";

/** Seconds that the guess of the monitor's clock gives way a message, so that it follows a clock that drifts. */
const CLOCK_GIVES = 0.0005;
const CLOCK_JUMP = 5;
/** Seconds after which a film that nothing is heard of counts as over. */
const FILM_SILENT = 10;
/** What telemetry says where no policy drives. */
const NO_POLICY = ["hand", "paused"];

/**
 * Topics: "hello", "box", "cars", "outlines", "lines", "curves", "hand" as in the protocol; "connection" and
 * "selection" of our own.
 */
export class Store {
  constructor() {
    this.hello = null;
    this.box = null;
    /** @type {Object<string, {state: ?Object, telemetry: ?Object, frame_at: ?number}>} */
    this.cars = {};
    this.outlines = {};
    this.lines = {};
    /** @type {Object[]} of the learning curves */
    this.points = [];
    this.connection = "connecting";
    this.why = "";
    /** When news came last, milliseconds of performance.now. */
    this.heard = performance.now();
    /** Cars whose last lap is drawn; the one chosen last is followed. @type {Set<string>} */
    this.selected = new Set();
    this.offset = null;
    this.listeners = new Map();
  }

  /** Have a function called when something of this topic came. */
  on(topic, listener) {
    if (!this.listeners.has(topic)) this.listeners.set(topic, []);
    this.listeners.get(topic).push(listener);
  }

  tell(topic, message) {
    this.listeners.get(topic)?.forEach((listener) => listener(message));
  }

  /** Take a text message. @param {Object} message */
  take(message) {
    // Only what tells of now counts as news: a greeting does not.
    if (typeof message.now === "number") {
      this.heard = performance.now();
      this.setClock(message.now);
    }
    const { topic } = message;
    if (topic === "hello") this.hello = message;
    else if (topic === "box") this.box = message;
    else if (topic === "cars") this.cars = message.cars ?? {};
    else if (topic === "outlines") this.outlines = message.outlines ?? {};
    else if (topic === "lines") this.lines = message.lines ?? {};
    else if (topic === "curves") {
      const points = message.points ?? [];
      this.points = capped(message.reset ? points : this.points.concat(points));
    }
    this.tell(topic, message);
  }

  setConnection(state, why) {
    this.connection = state;
    this.why = why;
    this.tell("connection");
  }

  /** A message can only be late, never early: the largest difference seen is the nearest to the truth. */
  setClock(now) {
    const seen = now - Date.now() / 1000;
    const jumped = this.offset === null || Math.abs(seen - this.offset) > CLOCK_JUMP;
    this.offset = jumped ? seen : Math.max(seen, this.offset - CLOCK_GIVES);
  }

  /** The monitor's time now, Unix seconds. */
  now() {
    return Date.now() / 1000 + (this.offset ?? 0);
  }

  /** Seconds since there was news. */
  silence() {
    return (performance.now() - this.heard) / 1000;
  }

  get run() {
    return this.box?.run ?? null;
  }

  /** All cars' names, the run's own order first. */
  names() {
    const known = (this.run?.cars ?? []).map(({ name }) => name);
    const others = Object.keys(this.cars).filter((name) => !known.includes(name));
    return [...known, ...others.sort()];
  }

  /** The place of a car among the run's, which gives it its colour. */
  indexOf(car) {
    return this.names().indexOf(car);
  }

  /** Whether this page can ask the run for anything. */
  get controls() {
    return Boolean(this.hello?.control?.enabled && this.run?.control);
  }

  /** Exported policies that the evaluators drive, "" for what is learned; while none tells, what they are asked to. */
  get driven() {
    const evaluators = (this.run?.cars ?? []).filter(({ role }) => role === "evaluator");
    const told = evaluators.map(({ name }) => this.cars[name]?.telemetry?.driven_by);
    const policies = told.filter((name) => name != null && !NO_POLICY.includes(name));
    return new Set(policies.length ? policies : [this.run?.policy ?? ""]);
  }

  /** Whether an evaluator still drives something else than it is asked to. */
  get takingUp() {
    return [...this.driven].some((name) => name !== (this.run?.policy ?? ""));
  }

  /** Whether the last film is neither over nor being made: its recorder was lost. */
  get filmLost() {
    const film = this.box?.film;
    return Boolean(film && !film.over && this.now() - film.at > FILM_SILENT);
  }

  /** The film that is being made; null: none is. */
  get filming() {
    const film = this.box?.film;
    return film && !film.over && !this.filmLost ? film : null;
  }

  /** Select one car alone, or add and remove it. @param {string} car @param {boolean} among */
  select(car, among = false) {
    const alone = this.selected.size === 1 && this.selected.has(car);
    if (!among) this.selected = alone ? new Set() : new Set([car]);
    else if (!this.selected.delete(car)) this.selected.add(car);
    this.tell("selection");
  }
}
