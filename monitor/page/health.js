// How it stands, in words: the pill at the top, the banner when what is shown may be old, and the warnings.

import { byId, keep, make, mark, say, show } from "./dom.js";
import { age, counted } from "./format.js";
import { every } from "./loop.js";

/** Seconds without a message that are told. */
const SILENT = 3;
/** Seconds after which a run that tells nothing counts as ended. */
const RUN_SILENT = 5;

/**
 * @typedef {Object} Verdict
 * @property {"connecting"|"stale"|"lost"|"waiting"|"ended"|"ok"|"warning"|"error"} state
 * @property {string} pill in a word or two
 * @property {string} banner in a sentence; empty: all that is shown is of now
 */

/** What there is to say. @param {import("./store.js").Store} store @returns {Verdict} */
export function verdict(store) {
  const { box, hello } = store;
  const silence = store.silence();
  if (!box && silence <= SILENT) return { state: "connecting", pill: "connecting", banner: "" };
  if (silence > SILENT) {
    const why = store.why && store.why !== "silent" ? ` (${store.why})` : "";
    return { state: "stale", pill: "stale", banner: `No news for ${age(silence)} — reconnecting${why}` };
  }
  if (box.redis && !box.redis.ok) {
    const since = box.redis.since == null ? "" : ` since ${age(store.now() - box.redis.since)}`;
    const why = box.redis.why ? ` (${box.redis.why})` : "";
    return {
      state: "lost",
      pill: "Redis lost",
      banner: `Redis does not answer${why}${since}; showing what was last known`,
    };
  }
  const name = hello?.run ?? "";
  if (!box.run) return { state: "waiting", pill: "waiting", banner: `Waiting for run ${name}` };
  const quiet = store.now() - box.run.at;
  if (quiet > RUN_SILENT) {
    return {
      state: "ended",
      pill: "run ended",
      banner: `The run has told nothing for ${age(quiet)}: it has ended or its supervisor hangs`,
    };
  }
  const warnings = box.warnings ?? [];
  if (warnings.length === 0) return { state: "ok", pill: box.run.paused ? "paused" : "all well", banner: "" };
  const state = warnings.some(({ level }) => level === "error") ? "error" : "warning";
  return { state, pill: counted(warnings.length, "warning"), banner: "" };
}

/** States in which old data is on the page, which is then dimmed. */
const OLD = new Set(["stale", "lost", "ended"]);

/** Keep the pill, the banner and the list of warnings up to date. @param {import("./store.js").Store} store */
export function showHealth(store) {
  const pill = byId("health");
  const banner = byId("banner");
  const connection = byId("connection");
  const list = byId("warnings");
  const items = new Map();
  let told = "";

  const draw = () => {
    const now = verdict(store);
    say(pill, now.pill);
    mark(pill, "data-state", now.state);
    mark(document.body, "data-health", now.state);
    document.body.classList.toggle("old", OLD.has(now.state));
    show(banner, now.banner !== "");
    mark(banner, "data-state", now.state);
    // Seconds tick: only the first of a banner is read out, as an alert.
    mark(banner, "aria-live", now.state === told ? "off" : null);
    told = now.state;
    if (now.banner) say(banner, now.banner);
    say(connection, connectionWords(store));
    document.title = [store.hello?.run, now.pill, "robo"].filter(Boolean).join(" · ");
  };

  const drawWarnings = () => {
    const warnings = store.box?.warnings ?? [];
    const keys = warnings.length ? warnings.map(({ level, text }) => `${level} ${text}`) : ["none"];
    keep(list, [...new Set(keys)], items, (key) => {
      if (key === "none") return { element: make("li.none", {}, "Nothing to warn of") };
      const { level, text } = warnings[keys.indexOf(key)];
      const word = level === "error" ? "Error" : "Warning";
      return { element: make("li", { "data-level": level }, make("strong", {}, word), ` ${text}`) };
    });
  };

  store.on("box", () => (draw(), drawWarnings()));
  store.on("connection", draw);
  every(0.5, draw);
  draw();
}

function connectionWords(store) {
  const { connection, box } = store;
  if (store.box && store.silence() > SILENT) return "reconnecting…";
  if (connection === "open") return box?.viewers > 1 ? `live · ${box.viewers} viewers` : "live";
  return connection === "connecting" ? "connecting…" : "reconnecting…";
}
