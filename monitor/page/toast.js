// Short words about what was asked for, which go by themselves.

import { byId, make } from "./dom.js";

const SECONDS = { done: 4, trouble: 9 };

/** @param {string} text @param {"done"|"trouble"} kind */
export function toast(text, kind = "done") {
  const note = make("p.toast", { "data-kind": kind }, text);
  const list = byId("toasts");
  while (list.children.length >= 4) list.firstChild.remove();
  list.append(note);
  setTimeout(() => note.remove(), SECONDS[kind] * 1000);
}
