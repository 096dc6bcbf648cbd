// The top of the page: which run it is, what it is, and how far.

import { byId, make, say, show } from "./dom.js";
import { age, clock, compact, UNKNOWN } from "./format.js";
import { coalesced, every } from "./loop.js";

const FIGURES = [
  ["elapsed", "Elapsed", "wall time since the run began"],
  ["env-steps", "Steps", "decisions of the exploring cars"],
  ["env-rate", "Steps / s", "decisions of the exploring cars a second"],
  ["train-steps", "Trained", "train steps"],
  ["train-rate", "Trained / s", "train steps a second"],
  ["replay", "Replay", "transitions kept"],
];

/** Keep the header up to date. @param {import("./store.js").Store} store */
export function showHeader(store) {
  const values = new Map();
  byId("figures").append(
    ...FIGURES.map(([key, name, title]) => {
      const value = make("dd", { "data-figure": key }, UNKNOWN);
      values.set(key, value);
      return make("div", { title }, make("dt", {}, name), value);
    }),
  );

  const draw = coalesced(() => {
    const { run, box } = store;
    const progress = box?.progress ?? null;
    say(byId("run-name"), store.hello?.run ?? "…");
    drawFacts(store);
    const figures = {
      elapsed: run ? clock(Math.min(store.now(), run.at + 1) - run.started_at) : UNKNOWN,
      "env-steps": compact(progress?.env_steps),
      "env-rate": compact(progress?.env_steps_per_s),
      "train-steps": compact(progress?.train_steps),
      "train-rate": compact(progress?.train_steps_per_s),
      replay: compact(progress?.replay),
    };
    for (const [key, value] of values) say(value, figures[key]);
  });

  store.on("box", draw);
  store.on("hello", () => (draw(), offerRuns(store)));
  every(1, draw);
}

function drawFacts(store) {
  const { run } = store;
  const facts = run
    ? [
        [run.agent, "agent"],
        [run.clock, "clock"],
        [run.simulator === "embedded" ? "embedded simulator" : run.simulator, "simulator"],
        run.track && [run.track, "track"],
        run.paused && ["paused", "state"],
        policyWords(store) && [policyWords(store), "policy"],
      ].filter(Boolean)
    : [];
  const list = byId("facts");
  const key = JSON.stringify(facts);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...facts.map(([text, title]) => make("li", { title, "data-fact": title }, text)));
}

/** What the evaluators drive in place of what is learned, or are about to. */
function policyWords({ run, takingUp }) {
  if (takingUp) return `taking up ${run.policy || "what is learned"} …`;
  return run.policy && `drives ${run.policy}`;
}

/** Where there are several runs, let one be chosen. */
async function offerRuns(store) {
  let runs;
  try {
    const answer = await fetch(new URL("api/runs", document.baseURI));
    runs = answer.ok ? await answer.json() : [];
  } catch {
    return; // The connection's own state tells it.
  }
  const choice = byId("run-choice");
  const select = byId("run-select");
  const several = Array.isArray(runs) && runs.length > 1;
  show(choice, several);
  show(byId("run-name"), !several);
  if (!several) return;
  const current = store.hello?.run ?? "";
  if (!runs.some(({ name }) => name === current)) runs = [{ name: current, at: 0, under_way: false }, ...runs];
  select.replaceChildren(
    ...runs.map(({ name, at, under_way: underWay }) => {
      const when = underWay ? "" : at ? ` (${age(store.now() - at)} ago)` : " (not known)";
      return make("option", { value: name, selected: name === current }, name + when);
    }),
  );
  select.onchange = () => {
    const there = new URL(location.href);
    there.searchParams.set("run", select.value);
    location.assign(there);
  };
}
