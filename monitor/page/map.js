// The track from above with all its cars, and the last laps of those that are selected.

import { carVariable, speedColour, themed } from "./colours.js";
import { byId, mark, say, show } from "./dom.js";
import { fixed } from "./format.js";
import { calm, every, Loop } from "./loop.js";
import { FOLLOW, MapChoices } from "./map_choices.js";
import { Motion } from "./motion.js";
import { drawLine, drawScale, drawTrack, Fit, speedRange } from "./plan.js";

/** Metres; of a car as it is drawn at least, so that it can be seen on a large track. */
const CAR_LENGTH = 0.28;
const LEAST_PIXELS = 15;
const CLICK_PIXELS = 28;
const REPORT_SECONDS = 0.2;

export class TrackMap {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    this.canvas = byId("map");
    this.context = this.canvas.getContext("2d");
    /** What stands still, drawn anew only when it changed. */
    this.still = document.createElement("canvas");
    this.stale = true;
    /** @type {Map<string, Motion>} */
    this.motions = new Map();
    this.choices = new MapChoices(store, (track) => this.outline(track)?.name);
    this.drawn = 0;
    this.reported = 0;
    this.seen = [];
    this.loop = new Loop((at) => this.draw(at / 1000));
    this.bind();
  }

  bind() {
    const { store, canvas } = this;
    const refresh = () => {
      this.stale = true;
      this.drawChoices();
    };
    store.on("cars", () => this.take());
    store.on("box", () => this.drawChoices());
    for (const topic of ["outlines", "lines", "selection"]) store.on(topic, refresh);
    addEventListener("themechange", refresh);
    new ResizeObserver(() => this.resize()).observe(canvas);
    new IntersectionObserver((entries) => this.loop.want(entries.at(-1).isIntersecting)).observe(canvas);
    canvas.addEventListener("click", (event) => this.click(event));
    every(2, () => this.describe());
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.canvas, this.still]) {
      canvas.width = Math.max(1, Math.round(clientWidth * ratio));
      canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    }
    this.ratio = ratio;
    this.stale = true;
  }

  take() {
    const now = performance.now() / 1000;
    let came = false;
    for (const [name, { state }] of Object.entries(this.store.cars)) {
      if (!state) continue;
      if (!this.motions.has(name)) {
        this.motions.set(name, new Motion());
        came = true;
      }
      this.motions.get(name).take(state, now);
    }
    for (const name of this.motions.keys()) {
      if (!this.store.cars[name]?.state) this.motions.delete(name);
    }
    if (came) this.drawChoices();
  }

  /** The number of the track that is shown; null: none is known. */
  track() {
    if (this.choices.chosen !== FOLLOW) return this.choices.chosen;
    const followed = [...this.store.selected].at(-1) ?? this.store.names()[0];
    return this.trackOf(followed) ?? this.trackOf([...this.motions.keys()][0]);
  }

  trackOf(car) {
    return this.motions.get(car)?.state.track ?? this.store.outlines[car]?.track ?? null;
  }

  outline(track) {
    return Object.values(this.store.outlines).find((outline) => outline.track === track) ?? null;
  }

  draw(now) {
    if (!this.ratio) return;
    const track = this.track();
    const { context, ratio } = this;
    if (this.stale || track !== this.shown || this.outgrown(track)) this.drawStill(track);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.still, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.poses = [];
    this.store.names().forEach((name, index) => {
      const motion = this.motions.get(name);
      if (!motion || motion.state.track !== track) return;
      const pose = calm.matches ? motion.to : motion.at(now);
      if (!calm.matches) motion.remember(pose, now);
      this.poses.push({ name, ...pose, colour: themed(carVariable(index)), trail: motion.trail });
    });
    for (const pose of this.poses) this.drawTrail(pose, now);
    // Selected cars lie on top.
    const { selected } = this.store;
    this.poses.sort((one, other) => selected.has(one.name) - selected.has(other.name));
    for (const pose of this.poses) this.drawCar(pose);
    this.drawn += 1;
    this.report(now);
  }

  /** Without an outline the view grows with the places that cars were seen at. */
  outgrown(track) {
    if (this.outline(track)) return false;
    let grown = false;
    for (const { state } of this.motions.values()) {
      if (state.track !== track) continue;
      const [x, , z] = state.position;
      if (this.seen.some(([seenX, seenZ]) => Math.hypot(x - seenX, z - seenZ) < 0.5)) continue;
      this.seen.push([x, z]);
      grown = true;
    }
    return grown;
  }

  drawStill(track) {
    if (track !== this.shown) this.seen = [];
    this.shown = track;
    this.stale = false;
    const context = this.still.getContext("2d");
    const { ratio } = this;
    const [width, height] = [this.still.width / ratio, this.still.height / ratio];
    const outline = this.outline(track);
    const lines = [...this.store.selected].map((car) => this.store.lines[car]).filter((line) => line?.track === track);
    if (!outline) this.outgrown(track);
    this.fit = new Fit(outline ? [...outline.left, ...outline.right] : this.seen, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (outline) drawTrack(context, outline, this.fit);
    const range = speedRange(lines);
    for (const line of lines) drawLine(context, line, range, this.fit);
    drawScale(context, this.fit, height);
    this.drawLegend(range);
    const words = outline ? `${outline.name} · ${fixed(outline.length)} m` : track === null ? "" : "outline not known";
    say(byId("map-track"), words);
  }

  drawTrail({ trail, colour }, now) {
    const { context, fit } = this;
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.lineCap = "butt";
    for (let index = 1; index < trail.length; index++) {
      const [x, z, at] = trail[index];
      context.globalAlpha = Math.max(0, 0.5 - (now - at) * 0.32);
      context.beginPath();
      context.moveTo(fit.x(trail[index - 1][0]), fit.y(trail[index - 1][1]));
      context.lineTo(fit.x(x), fit.y(z));
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  drawCar({ name, x, z, yaw, colour }) {
    const { context, fit } = this;
    const length = Math.max(CAR_LENGTH * fit.scale, LEAST_PIXELS);
    const selected = this.store.selected.has(name);
    context.save();
    context.translate(fit.x(x), fit.y(z));
    if (selected) {
      context.beginPath();
      context.arc(0, 0, length * 0.85, 0, 2 * Math.PI);
      context.fillStyle = colour;
      context.globalAlpha = 0.22;
      context.fill();
      context.globalAlpha = 1;
    }
    context.save();
    context.rotate(yaw); // clockwise from above, from north: as the canvas turns
    const [nose, tail, half] = [-length / 2, length / 2, length * 0.32];
    context.beginPath();
    context.moveTo(0, nose);
    context.quadraticCurveTo(half, nose * 0.1, half, tail);
    context.lineTo(0, tail * 0.6);
    context.lineTo(-half, tail);
    context.quadraticCurveTo(-half, nose * 0.1, 0, nose);
    context.fillStyle = colour;
    context.strokeStyle = themed("--car-edge");
    context.lineWidth = 1.5;
    context.stroke();
    context.fill();
    context.restore();
    context.font = themed(selected ? "--canvas-font-strong" : "--canvas-font");
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.strokeStyle = themed("--map");
    context.lineWidth = 3;
    context.fillStyle = themed(selected ? "--text" : "--muted");
    context.strokeText(name, length * 0.7 + 2, -length * 0.55);
    context.fillText(name, length * 0.7 + 2, -length * 0.55);
    context.restore();
  }

  drawLegend(range) {
    show(byId("map-legend"), range !== null);
    if (!range) return;
    say(byId("legend-low"), fixed(range.low));
    say(byId("legend-high"), `${fixed(range.high)} m/s`);
    const ramp = byId("legend-ramp");
    const context = ramp.getContext("2d");
    for (let x = 0; x < ramp.width; x++) {
      context.fillStyle = speedColour(x / (ramp.width - 1));
      context.fillRect(x, 0, 1, ramp.height);
    }
  }

  /** What tests and the curious can read off the page. */
  report(now) {
    if (now - this.reported < REPORT_SECONDS) return;
    this.reported = now;
    const rounded = (value) => Math.round(value * 1000) / 1000;
    const cars = this.poses.map(({ name, x, z, yaw }) => [name, { x: rounded(x), z: rounded(z), yaw: rounded(yaw) }]);
    this.canvas.dataset.drawn = this.drawn;
    this.canvas.dataset.cars = JSON.stringify(Object.fromEntries(cars));
  }

  describe() {
    const cars = (this.poses ?? []).map(({ name }) => `${name} ${fixed(this.store.cars[name]?.state?.speed)} m/s`);
    const where = this.outline(this.shown)?.name ?? "The track";
    mark(this.canvas, "aria-label", `${where} from above. ${cars.join(", ") || "No car is on it"}`);
  }

  drawChoices() {
    this.choices.draw([...this.motions.values()].map(({ state }) => state.track));
  }

  click({ offsetX, offsetY }) {
    const away = ({ x, z }) => Math.hypot(this.fit.x(x) - offsetX, this.fit.y(z) - offsetY);
    const nearest = (this.poses ?? []).reduce((best, pose) => (!best || away(pose) < away(best) ? pose : best), null);
    if (nearest && away(nearest) < CLICK_PIXELS) this.store.select(nearest.name);
  }
}
