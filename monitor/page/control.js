// What the run can be asked to do. Shown only where the monitor and the run take commands.

import { byId, make, mark, say, show } from "./dom.js";
import { age } from "./format.js";
import { coalesced, every } from "./loop.js";
import { ask, keepToken, token } from "./requests.js";
import { toast } from "./toast.js";

/** Seconds of simulation time. */
const FILM_SECONDS = 30;

export class Control {
  /** @param {import("./store.js").Store} store @param {() => void} unlock tells the socket of the token */
  constructor(store, unlock) {
    this.store = store;
    this.unlock = unlock;
    this.asked = new Set();
    this.offered = "";
    /** The policy that was picked from the list and is not driven yet; null: none was. @type {?string} */
    this.picked = null;
    this.build();
    const draw = coalesced(() => this.draw());
    for (const topic of ["box", "hello"]) store.on(topic, draw);
    every(1, draw);
    addEventListener("tokenwanted", () => this.tokenInput.focus());
  }

  build() {
    const button = (text, act, kind = "") => make(`button${kind}`, { type: "button", click: act }, text);
    this.pause = button("Pause", () => this.togglePause());
    this.save = button("Save now", () => this.ask("Save", "control/save"));
    this.stop = button("Stop…", () => this.askStop(), ".danger");
    // Arrow keys change a closed list at every press: picking alone asks for nothing.
    this.policy = make("select", { id: "policy-select", change: () => (this.picked = this.policy.value) });
    this.use = button("Use", () => this.usePolicy(), ".small");
    mark(this.use, "aria-label", "Use the policy");
    this.filmState = make("span.film-state", { id: "film-state" });
    this.cut = button("Cut", () => this.cut(), ".small");
    this.tokenInput = make("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", maxlength: "1000" });
    this.tokenInput.value = token();
    this.tokenForm = make(
      "form.row",
      { submit: (event) => this.takeToken(event) },
      make("label", { for: "token" }, "Token"),
      this.tokenInput,
      make("button.small", { type: "submit" }, "Use"),
    );
    byId("control-body").append(
      make("div.row", {}, this.pause, this.save, this.stop),
      make("div.row", {}, make("label", { for: "policy-select" }, "Let evaluators drive"), this.policy, this.use),
      make("div.row.film", {}, make("span.quiet", {}, "Film"), this.filmState, this.cut),
      this.tokenForm,
    );
  }

  draw() {
    const { store } = this;
    const { run, box, hello } = store;
    show(byId("control"), store.controls);
    if (!store.controls) return;
    say(byId("control-state"), run.paused ? "the run is paused" : "");
    say(this.pause, run.paused ? "Resume" : "Pause");
    show(this.tokenForm, Boolean(hello.control.token));
    this.drawPolicies(box.shelf?.policies ?? [], run.policy);
    this.drawFilm(box.film);
  }

  drawPolicies(policies, current) {
    const names = policies.filter(({ fits }) => fits === "").map(({ name }) => name);
    if (current && !names.includes(current)) names.unshift(current);
    const key = JSON.stringify(names);
    // An open list must not change below the pointer.
    if (key !== this.offered && document.activeElement !== this.policy) {
      this.offered = key;
      this.policy.replaceChildren(
        make("option", { value: "" }, "what is learned"),
        ...names.map((name) => make("option", { value: name }, name)),
      );
    }
    if (this.picked === current || !(names.includes(this.picked) || this.picked === "")) this.picked = null;
    if (document.activeElement !== this.policy) this.policy.value = this.picked ?? current;
  }

  drawFilm(film) {
    const { filming, filmLost } = this.store;
    show(this.cut, filming !== null);
    mark(this.filmState, "data-state", film?.trouble || filmLost ? "trouble" : filming ? "filming" : "idle");
    if (!film) say(this.filmState, "none yet; each car's card has a button");
    else if (film.trouble) say(this.filmState, `${film.car}: ${film.trouble}`);
    else if (filmLost) say(this.filmState, `${film.car}: nothing is heard of it; ${film.path}`);
    else if (filming) say(this.filmState, `filming ${film.car}, ${age(film.seconds)}`);
    else say(this.filmState, `${film.car}, ${age(film.seconds)}: ${film.path}`);
  }

  /** One request of a kind at a time: the run may take a while to answer. */
  async ask(what, path, body = {}) {
    if (this.asked.has(path)) return false;
    this.asked.add(path);
    try {
      return await ask(what, path, body, this.store.hello?.run ?? "");
    } finally {
      this.asked.delete(path);
    }
  }

  togglePause() {
    if (this.store.run?.paused) this.ask("Resume", "control/resume");
    else this.ask("Pause", "control/pause");
  }

  usePolicy() {
    this.ask("Policy", "control/policy", { policy: this.policy.value });
  }

  /** @param {string} car */
  film(car) {
    this.ask(`Film of ${car}`, `cars/${encodeURIComponent(car)}/film`, { seconds: FILM_SECONDS });
  }

  cut() {
    this.ask("Cut", "control/cut");
  }

  /** @param {string} process */
  async restart(process) {
    if (!(await confirmed(`Restart ${process}? The others go on meanwhile.`, "Restart"))) return;
    this.ask(`Restart of ${process}`, `control/processes/${encodeURIComponent(process)}/restart`);
  }

  async askStop() {
    const name = this.store.hello?.run ?? "the run";
    if (await confirmed(`Stop ${name}? It is saved first, and can be resumed from the command line.`, "Stop the run")) {
      this.ask("Stop", "control/stop");
    }
  }

  takeToken(event) {
    event.preventDefault();
    keepToken(this.tokenInput.value.trim());
    this.unlock();
  }

  /** The monitor says that it is another one. */
  forgetToken() {
    keepToken("");
    this.tokenInput.value = "";
    toast("That is not this monitor's token", "trouble");
    this.tokenInput.focus();
  }
}

/** Ask back, in the page's own dialog. @param {string} question @param {string} yes @returns {Promise<boolean>} */
function confirmed(question, yes) {
  const dialog = byId("confirm");
  const answer = (value) => () => dialog.close(value);
  dialog.replaceChildren(
    make("p", { id: "confirm-text" }, question),
    make(
      "div.row",
      {},
      make("button", { type: "button", click: answer("no"), autofocus: true }, "Cancel"),
      make("button.danger", { type: "button", click: answer("yes") }, yes),
    ),
  );
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
