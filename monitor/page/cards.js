// The cards of all cars. Only those in view are drawn, and nothing is while the tab is hidden.

import { Card } from "./card.js";
import { carVariable } from "./colours.js";
import { byId, keep, say } from "./dom.js";
import { counted } from "./format.js";
import { coalesced, every } from "./loop.js";

/** A figure that changes more often can't be read. */
const FIGURES_EVERY = 0.1;

/**
 * @param {import("./store.js").Store} store
 * @param {import("./pictures.js").Cameras} cameras
 * @param {import("./watch.js").Watch} watch
 * @param {Object} acts what a card's buttons do: see Card
 */
export function showCards(store, cameras, watch, acts) {
  const parent = byId("cars");
  /** @type {Map<string, Card>} */
  const cards = new Map();
  let drawnAt = 0;

  const build = (name) => {
    const card = new Card(name, acts);
    cameras.attach(name, card.canvas);
    watch.follow(card.element);
    card.gone = () => {
      cameras.detach(name, card.canvas);
      watch.unfollow(card.element);
    };
    return card;
  };

  const update = (card) => {
    card.update(store.cars[card.name], store.run, store.selected.has(card.name));
    updateAge(card);
  };

  const updateAge = (card) => {
    // The monitor tells of the newest picture also where we don't ask for it.
    const at = Math.max(cameras.at(card.name) ?? 0, store.cars[card.name]?.frame_at ?? 0);
    card.updateAge(at ? store.now() - at : null);
  };

  const inView = () => [...cards.values()].filter(({ name }) => watch.sees(name));

  const drawAll = coalesced(() => {
    const names = store.names();
    keep(parent, names, cards, build);
    names.forEach((name, index) => {
      const card = cards.get(name);
      card.element.style.setProperty("--car", `var(${carVariable(index)})`);
      card.updateButtons(store.controls, store.filming);
      update(card);
    });
    say(byId("cars-note"), names.length ? counted(names.length, "car") : "none known yet");
  });

  const drawSome = coalesced(() => {
    const now = performance.now() / 1000;
    if (now - drawnAt < FIGURES_EVERY) return;
    drawnAt = now;
    inView().forEach(update);
  });

  store.on("cars", () => (Object.keys(store.cars).every((name) => cards.has(name)) ? drawSome() : drawAll()));
  for (const topic of ["box", "hello", "selection"]) store.on(topic, drawAll);
  every(0.25, () => inView().forEach(updateAge));
  every(1, drawAll);
}
