// One car's card: its camera, what its policy sees and does, and how it fares.

import { make, mark, say, show } from "./dom.js";
import { age, fixed, shortAge, UNKNOWN, whole } from "./format.js";
import { Commands, Observation, Terms } from "./gauges.js";

/** Seconds; older pictures are called old. */
const OLD_FRAME = 1;

const FIGURES = [
  ["return", "Return", "of this episode so far"],
  ["last-return", "Last return", "of the episode before"],
  ["laps", "Laps", "completed"],
  ["clean-laps", "Clean laps", "without touching a wall"],
  ["crashes", "Crashes", "walls touched since the process began"],
  ["in-a-row", "In a row", "clean laps, one after another, up to now"],
  ["last-lap", "Last lap", "seconds of simulation time"],
  ["best-lap", "Best lap", "seconds of simulation time, of the clean laps"],
];

export class Card {
  /**
   * @param {string} name
   * @param {{select: (car: string) => void, drive: (car: string) => void, film: (car: string) => void, cut: () => void}} acts
   */
  constructor(name, acts) {
    this.name = name;
    this.fields = new Map();
    const field = (key, tag = "dd") => {
      const element = make(tag, { "data-field": key }, UNKNOWN);
      this.fields.set(key, element);
      return element;
    };
    this.title = make(
      "button.card-name",
      { type: "button", "aria-pressed": "false", title: "Show its last lap on the track", click: () => acts.select(name) },
      make("span.swatch"),
      name,
    );
    this.role = make("span.badge");
    this.driver = make("span.badge.driver", { hidden: true });
    this.canvas = make("canvas.camera", { width: 128, height: 80, role: "img", "aria-label": `Camera of ${name}`, "data-frames": 0 });
    this.observation = new Observation(name);
    this.commands = new Commands();
    this.terms = new Terms();
    this.ended = make("span");
    this.version = make("span", { title: "train step of the weights that drive" });
    this.drive = make("button.small", { type: "button", click: () => acts.drive(name), "aria-label": `Drive ${name}` }, "Drive");
    this.film = make("button.small", { type: "button", click: () => (this.filmed ? acts.cut() : acts.film(name)) });
    this.filmed = false;
    this.buttons = make("div.card-buttons", { hidden: true }, this.drive, this.film);
    const figures = FIGURES.map(([key, title, meaning]) =>
      make("div", { title: meaning }, make("dt", {}, title), field(key)),
    );
    this.element = make(
      "article.card",
      { "data-car": name, "aria-label": name },
      make("header.card-head", {}, this.title, this.role, this.driver, field("frame-age", "span")),
      make(
        "div.view",
        {},
        this.canvas,
        make("span.no-picture", {}, "no picture yet"),
        make("span.speed", {}, field("speed", "strong"), " m/s"),
      ),
      make("div.seen", {}, this.observation.element, this.commands.element),
      make("dl.figures", {}, ...figures),
      this.terms.element,
      make("p.card-foot", {}, this.ended, this.version),
      this.buttons,
    );
    // A click anywhere on the picture selects too; the name's button is there for the keyboard.
    this.canvas.addEventListener("click", () => acts.select(name));
  }

  put(key, text) {
    say(this.fields.get(key), text);
  }

  /** @param {Object} car as in the message @param {?Object} run RunInfo @param {boolean} selected */
  update(car, run, selected) {
    const { state = null, telemetry = null } = car ?? {};
    const role = telemetry?.role || run?.cars?.find(({ name }) => name === this.name)?.role || "";
    say(this.role, role);
    mark(this.role, "data-role", role);
    this.drawDriver(telemetry?.driven_by ?? "");
    mark(this.title, "aria-pressed", selected);
    this.put("speed", fixed(state?.speed, 2));
    this.put("return", fixed(telemetry?.episode_reward, 1));
    this.put("last-return", fixed(telemetry?.last_episode_reward, 1));
    this.put("laps", whole(telemetry?.laps ?? state?.laps));
    this.put("clean-laps", whole(telemetry?.clean_laps));
    this.put("in-a-row", whole(telemetry?.clean_laps_in_a_row));
    this.put("last-lap", state?.last_lap > 0 ? fixed(state.last_lap, 2) + " s" : UNKNOWN);
    this.put("best-lap", telemetry?.best_lap == null ? UNKNOWN : fixed(telemetry.best_lap, 2) + " s");
    this.put("crashes", whole(telemetry?.crashes ?? state?.crashes));
    this.observation.update(telemetry?.observation, run);
    this.commands.update(telemetry, run?.throttle_max ?? 1);
    this.terms.update(telemetry?.reward_terms);
    const ended = telemetry?.last_episode_end ? `last ended: ${telemetry.last_episode_end}` : "";
    say(this.ended, ended);
    say(this.version, telemetry?.weights_version ? `policy ${whole(telemetry.weights_version)}` : "");
  }

  drawDriver(drivenBy) {
    show(this.driver, drivenBy !== "");
    say(this.driver, drivenBy);
    mark(this.driver, "data-driver", drivenBy === "hand" || drivenBy === "paused" ? drivenBy : "policy");
  }

  /** How old the newest picture is, seconds; null: there is none. @param {?number} seconds */
  updateAge(seconds) {
    const element = this.fields.get("frame-age");
    say(element, seconds === null ? "no frame" : shortAge(seconds));
    mark(element, "data-old", seconds === null || seconds > OLD_FRAME);
    mark(element, "title", seconds === null ? null : `the newest picture is ${age(seconds)} old`);
  }

  /** @param {boolean} controls whether the run takes commands @param {?Object} film FilmStatus, while one is made */
  updateButtons(controls, film) {
    show(this.buttons, controls);
    const mine = film?.car === this.name;
    this.filmed = mine;
    const disabled = Boolean(film) && !mine; // one film at a time
    if (this.film.disabled !== disabled) this.film.disabled = disabled;
    say(this.film, mine ? `Cut at ${Math.floor(film.seconds)} s` : "Film 30 s");
    mark(this.film, "aria-label", mine ? `End the film of ${this.name}` : `Film ${this.name} for 30 s`);
    mark(this.film, "data-filming", mine ? "" : null);
  }
}
