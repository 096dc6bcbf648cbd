// What the run can be asked to do. Shown only where the monitor and the run take commands.

import { byId, make, mark, say, show } from "./dom.js";
import { age } from "./format.js";
import { coalesced } from "./loop.js";
import { ask, keepToken, token } from "./requests.js";

/** Seconds of simulation time. */
const FILM_SECONDS = 30;

export class Control {
  /** @param {import("./store.js").Store} store @param {() => void} unlock tells the socket of the token */
  constructor(store, unlock) {
    this.store = store;
    this.unlock = unlock;
    this.asked = new Set();
    this.offered = "";
    this.build();
    const draw = coalesced(() => this.draw());
    for (const topic of ["box", "hello"]) store.on(topic, draw);
    addEventListener("tokenwanted", () => this.tokenInput.focus());
  }

  build() {
    const button = (text, act, kind = "") => make(`button${kind}`, { type: "button", click: act }, text);
    this.pause = button("Pause", () => this.togglePause());
    this.save = button("Save now", () => this.ask("Save", "control/save"));
    this.stop = button("Stop…", () => this.askStop(), ".danger");
    this.policy = make("select", { id: "policy-select", change: () => this.choosePolicy() });
    this.filmState = make("span.film-state", { id: "film-state" });
    this.cut = button("Cut", () => this.cut(), ".small");
    this.tokenInput = make("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false" });
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
      make("div.row", {}, make("label", { for: "policy-select" }, "Evaluators drive"), this.policy),
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
    if (document.activeElement !== this.policy) this.policy.value = current;
  }

  drawFilm(film) {
    const filming = Boolean(film && !film.over);
    show(this.cut, filming);
    mark(this.filmState, "data-state", film?.trouble ? "trouble" : filming ? "filming" : "idle");
    if (!film) say(this.filmState, "none yet; each car's card has a button");
    else if (film.trouble) say(this.filmState, `${film.car}: ${film.trouble}`);
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

  async choosePolicy() {
    const { value } = this.policy;
    const done = await this.ask("Policy", "control/policy", { policy: value });
    if (!done) this.policy.value = this.store.run?.policy ?? "";
    this.policy.blur();
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
