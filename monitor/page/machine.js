// The machine that the run is on: three meters.

import { byId, make, mark, say } from "./dom.js";
import { age, counted, percent, size, UNKNOWN } from "./format.js";
import { coalesced } from "./loop.js";

/** From these shares on a meter is coloured: there is little left. */
const TIGHT = { cpu: 1.1, memory: 0.85, disk: 0.9 };
const OLD = 10;

const meters = {
  cpu: { name: "CPU", share: ({ cpu }) => cpu, words: ({ cpu }) => `${percent(cpu)} busy` },
  memory: {
    name: "Memory",
    share: (machine) => machine.memory_used / machine.memory_total,
    words: (machine) => `${size(machine.memory_used)} of ${size(machine.memory_total)}`,
  },
  disk: {
    name: "Disk",
    share: (machine) => 1 - machine.disk_free / machine.disk_total,
    words: (machine) => `${size(machine.disk_free)} free of ${size(machine.disk_total)}`,
  },
};

/** Keep the meters up to date. @param {import("./store.js").Store} store */
export function showMachine(store) {
  const parts = Object.entries(meters).map(([key, { name }]) => {
    const fill = make("span.fill");
    const bar = make("span.bar", { role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
    const value = make("span.value", {}, UNKNOWN);
    byId("machine").append(make("div.meter", { "data-meter": key }, make("span.name", {}, name), bar, value));
    return { key, bar, fill, value };
  });
  const draw = coalesced(() => {
    const machine = store.box?.machine ?? null;
    for (const { key, bar, fill, value } of parts) {
      const share = machine ? meters[key].share(machine) : null;
      const words = machine ? meters[key].words(machine) : UNKNOWN;
      say(value, words);
      fill.style.transform = `scaleX(${Math.max(0, Math.min(1, share || 0)).toFixed(3)})`;
      mark(bar, "aria-valuenow", share === null ? null : Math.round(share * 100));
      mark(bar, "aria-valuetext", words);
      mark(bar, "data-tight", share !== null && share > TIGHT[key] ? "" : null);
    }
    const old = machine && store.now() - machine.at > OLD ? ` · ${age(store.now() - machine.at)} ago` : "";
    say(byId("machine-cores"), machine ? counted(machine.cores, "core") + old : "not known");
  });
  store.on("box", draw);
}
