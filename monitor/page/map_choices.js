// The map's buttons: which track is shown, and whose last lap.

import { carVariable } from "./colours.js";
import { byId, keep, make, mark, say } from "./dom.js";

/** The track of the car that was selected last. */
export const FOLLOW = "follow";

export class MapChoices {
  /**
   * @param {import("./store.js").Store} store
   * @param {(track: number) => (string|undefined)} nameOf a track's name, where it is known
   */
  constructor(store, nameOf) {
    this.store = store;
    this.nameOf = nameOf;
    /** @type {"follow"|number} */
    this.chosen = FOLLOW;
    this.tabs = new Map();
    this.chips = new Map();
  }

  /** @param {number[]} tracks that cars are on */
  draw(tracks) {
    this.tracks = [...new Set(tracks)].sort((one, other) => one - other);
    if (this.chosen !== FOLLOW && !this.tracks.includes(this.chosen)) this.chosen = FOLLOW;
    this.drawTabs();
    this.drawChips();
  }

  drawTabs() {
    const keys = this.tracks.length > 1 ? [FOLLOW, ...this.tracks] : [];
    keep(byId("map-tabs"), keys, this.tabs, (key) => {
      const choose = () => {
        this.chosen = key;
        this.drawTabs();
      };
      return { element: make("button.chip", { type: "button", click: choose }) };
    });
    for (const [key, { element }] of this.tabs) {
      say(element, key === FOLLOW ? "follow selected" : (this.nameOf(key) ?? `track ${key}`));
      mark(element, "aria-pressed", key === this.chosen);
    }
  }

  drawChips() {
    const names = this.store.names();
    keep(byId("map-cars"), names, this.chips, (name) => {
      const toggle = () => this.store.select(name, true);
      const chip = make("button.chip", { type: "button", click: toggle, title: `Last lap of ${name}` });
      chip.append(make("span.swatch"), name);
      return { element: chip };
    });
    names.forEach((name, index) => {
      const { element } = this.chips.get(name);
      element.style.setProperty("--car", `var(${carVariable(index)})`);
      mark(element, "aria-pressed", this.store.selected.has(name));
    });
  }
}
