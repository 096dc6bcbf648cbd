// Driving a car by hand: its camera large, and what hands want of it told twenty times a second.

import { byId, make, mark, say } from "./dom.js";
import { fixed, percent } from "./format.js";
import { Bar, steeringWords } from "./gauges.js";
import { Hands } from "./hands.js";
import { toast } from "./toast.js";

const PERIOD = 0.05;
const PADS = [["left", "◀", "Left"], ["right", "▶", "Right"], ["brake", "■", "Brake"], ["gas", "▲", "Gas"]];

export class Drive {
  /**
   * @param {import("./store.js").Store} store @param {import("./pictures.js").Cameras} cameras
   * @param {import("./watch.js").Watch} watch @param {(message: Object) => boolean} send
   */
  constructor(store, cameras, watch, send) {
    Object.assign(this, { store, cameras, watch, send });
    this.hands = new Hands();
    this.car = null;
    this.timer = 0;
    this.dialog = byId("drive");
    this.build();
    this.bind();
  }

  build() {
    this.title = make("h2", { id: "drive-title" });
    this.canvas = make("canvas.camera", { width: 128, height: 80, role: "img" });
    this.speed = make("strong", {}, "–");
    this.status = make("p.drive-status", { role: "status" });
    this.throttle = new Bar("Gas");
    this.steering = new Bar("Wheel", true);
    this.brake = new Bar("Brake");
    this.full = make("input", { type: "range", id: "full-gas", min: 0.01, max: 1, step: 0.01 });
    this.fullWords = make("output", { for: "full-gas" });
    this.pads = make(
      "div.pads",
      {},
      ...PADS.map(([what, sign, name]) => make("button.pad", { type: "button", "data-pad": what, "aria-label": name }, sign)),
    );
    this.release = make("button.danger", { type: "button", click: () => this.stop("") }, "Give it back", make("kbd", {}, "Esc"));
    this.dialog.append(
      make("header.drive-head", {}, this.title, make("span.speed", {}, this.speed, " m/s"), this.release),
      make("div.view", {}, this.canvas),
      this.status,
      make("div.drive-gauges", {}, this.steering.element, this.throttle.element, this.brake.element),
      this.pads,
      make(
        "div.drive-foot",
        {},
        make("label", { for: "full-gas" }, "Full gas is"),
        this.full,
        this.fullWords,
        make("span.quiet.keys", {}, "Arrows or WASD drive, space brakes; a gamepad does too"),
      ),
    );
  }

  bind() {
    const { dialog } = this;
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.stop("");
    });
    dialog.addEventListener("close", () => this.stop(""));
    dialog.addEventListener("keydown", (event) => this.key(event));
    // Wherever the focus went meanwhile.
    addEventListener("keyup", (event) => this.hands.key(event.code, false));
    this.full.addEventListener("input", () => this.showFull());
    // The arrows drive again once the slider is let go of.
    this.full.addEventListener("pointerup", () => this.dialog.focus());
    for (const pad of this.pads.children) {
      const hold = (down) => (event) => {
        event.preventDefault();
        this.hands.pad(pad.dataset.pad, down);
      };
      pad.addEventListener("pointerdown", hold(true));
      for (const end of ["pointerup", "pointercancel", "pointerleave"]) pad.addEventListener(end, hold(false));
      pad.addEventListener("contextmenu", (event) => event.preventDefault());
    }
    addEventListener("blur", () => this.stop("the window lost the focus"));
    addEventListener("pagehide", () => this.stop(""));
    document.addEventListener("visibilitychange", () => document.hidden && this.stop("the tab was left"));
    this.store.on("cars", () => this.car && this.show());
    this.store.on("hand", ({ car, ok, text }) => this.answer(car, ok, text));
    this.store.on("connection", () => this.store.connection === "waiting" && this.stop("the connection was lost"));
  }

  /** Take the wheel of a car. @param {string} car */
  start(car) {
    if (this.car) return;
    if (this.store.connection !== "open") {
      toast(`${car} can't be driven: there is no connection`, "trouble");
      return;
    }
    this.car = car;
    this.hands.letGo();
    say(this.title, `You drive ${car}`);
    mark(this.canvas, "aria-label", `Camera of ${car}`);
    this.canvas.width = this.canvas.width; // empties it: the last picture is of another car
    this.told("Taking the wheel …", "");
    this.full.value = this.store.run?.throttle_max ?? 1;
    this.showFull();
    this.cameras.attach(car, this.canvas);
    this.watch.alone(car);
    this.dialog.tabIndex = -1;
    this.dialog.showModal();
    this.dialog.focus();
    this.at = performance.now();
    this.timer = setInterval(() => this.tick(), PERIOD * 1000);
    this.show();
  }

  tick() {
    const now = performance.now();
    const wants = this.hands.wants((now - this.at) / 1000, Number(this.full.value));
    this.at = now;
    if (!this.send({ hand: { car: this.car, ...wants } })) {
      this.stop("the connection was lost");
      return;
    }
    this.throttle.update(wants.throttle / Number(this.full.value), fixed(wants.throttle, 2));
    this.brake.update(wants.brake, percent(wants.brake));
    this.steering.update(-wants.turn, steeringWords(wants.turn));
  }

  /** Give the car back. @param {string} why empty: because it was asked for */
  stop(why) {
    if (!this.car) return;
    const { car } = this;
    this.car = null;
    clearInterval(this.timer);
    this.hands.letGo();
    this.send({ hand: { car, release: true } });
    this.cameras.detach(car, this.canvas);
    this.watch.alone(null);
    this.dialog.close();
    toast(why ? `${car} was given back: ${why}` : `${car} drives itself again`, why ? "trouble" : "done");
  }

  answer(car, ok, text) {
    if (car !== this.car) return;
    if (ok) this.told(text || `${car} is in your hands`, "ok");
    else this.stop(text || "refused");
  }

  /** Take a key that goes down. One that comes up always lets go, whatever else is held. */
  key(event) {
    // macOS does not tell which keys come up while this one is down.
    if (event.key === "Meta") this.hands.letGo();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // On a button, space presses it; on the slider, arrows move it. Letters drive everywhere.
    const own = event.target === this.full ? /^Arrow/ : event.target.closest?.("button") ? /^Space/ : null;
    if (own?.test(event.code)) return;
    if (this.hands.key(event.code, true)) event.preventDefault();
  }

  show() {
    const { state = null } = this.store.cars[this.car] ?? {};
    say(this.speed, fixed(state?.speed, 2));
  }

  showFull() {
    say(this.fullWords, percent(Number(this.full.value)));
  }

  told(text, kind) {
    say(this.status, text);
    mark(this.status, "data-kind", kind);
  }
}
