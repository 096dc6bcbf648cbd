// The tables: processes, laps, checkpoints and exported policies.

import { carVariable } from "./colours.js";
import { byId, keep, make, mark, say, show } from "./dom.js";
import { age, compact, counted, fixed, percent, shortAge, size, UNKNOWN, whole } from "./format.js";
import { coalesced, every } from "./loop.js";

/** A table whose rows are kept by key, so that a focused button in one stays. */
class Table {
  /** @param {HTMLTableElement} table @param {Array<[string, string]>} columns title and class @param {string} none */
  constructor(table, columns, none) {
    this.columns = columns;
    const heads = columns.map(([title, kind]) =>
      make("th", { scope: "col", class: kind || null }, title || make("span.visually-hidden", {}, "Actions")),
    );
    this.body = make("tbody");
    this.none = make("caption", {}, none);
    table.append(this.none, make("thead", {}, make("tr", {}, ...heads)), this.body);
    this.rows = new Map();
  }

  /**
   * @param {string[]} keys
   * @param {(key: string, cells: HTMLTableCellElement[], row: HTMLTableRowElement) => void} fill
   */
  update(keys, fill) {
    show(this.none, keys.length === 0);
    keep(this.body, keys, this.rows, () => {
      const cells = this.columns.map(([title, kind], index) =>
        make(index ? "td" : "th", { class: kind || null, scope: index ? null : "row", "data-title": title }),
      );
      return { element: make("tr", {}, ...cells), cells };
    });
    for (const key of keys) {
      const { cells, element } = this.rows.get(key);
      fill(key, cells, element);
    }
  }
}

/** What a process has counted, in words. */
function countWords(counts) {
  return Object.entries(counts ?? {}).map(([name, number]) => `${name} ${compact(number)}`).join(" · ");
}

/**
 * @param {import("./store.js").Store} store
 * @param {(name: string) => void} restart asks for a process to be started anew
 */
function showProcesses(store, restart) {
  const table = new Table(
    byId("processes"),
    [["Process", ""], ["State", ""], ["", ""], ["Heard", "n"], ["Restarts", "n"], ["CPU", "n"], ["Memory", "n"], ["Pid", "n"], ["Counted", "wide"]],
    "No process is known yet",
  );
  const buttons = new Map();
  return () => {
    const processes = store.box?.processes ?? {};
    const names = Object.keys(processes).sort(); // Redis keeps no order
    const running = names.filter((name) => processes[name].state === "running").length;
    say(byId("processes-note"), names.length ? `${running} of ${names.length} running` : "");
    table.update(names, (name, cells, row) => {
      const process = processes[name];
      mark(row, "data-process", name);
      mark(row, "data-state", process.state);
      if (!cells[1].firstChild) cells[1].append(make("span.state"), make("span.complaint"));
      say(cells[0], name);
      say(cells[1].firstChild, process.state);
      say(cells[1].lastChild, process.complaint);
      if (!buttons.has(name)) {
        const label = `Restart ${name}`;
        const button = make("button.small", { type: "button", "aria-label": label, title: label, click: () => restart(name) }, "↻");
        buttons.set(name, button);
      }
      if (cells[2].firstChild !== buttons.get(name)) cells[2].replaceChildren(buttons.get(name));
      show(buttons.get(name), store.controls);
      say(cells[3], shortAge(process.beat_age_s));
      say(cells[4], whole(process.restarts));
      say(cells[5], percent(process.cpu));
      cells[5].style.setProperty("--share", Math.min(1, process.cpu ?? 0).toFixed(2));
      cells[5].classList.add("share");
      say(cells[6], size(process.memory));
      say(cells[7], process.pid == null ? UNKNOWN : String(process.pid));
      say(cells[8], countWords(process.counts));
      mark(cells[8], "title", cells[8].textContent);
    });
  };
}

/** Who else drove a lap than the car's own driver, in a word and in a few. */
const OTHER_DRIVERS = {
  hand: ["hand", "A person drove"],
  policy: ["policy", "An exported policy drove that was asked for"],
};

function showLaps(store) {
  const table = new Table(byId("laps"), [["Car", ""], ["Lap", "n"], ["How", ""], ["In a row", "n"], ["Ago", "n"]], "No lap yet");
  return () => {
    const laps = store.box?.laps ?? [];
    const byKey = new Map([...laps].reverse().map((lap) => [`${lap.at} ${lap.car}`, lap]));
    const own = laps.filter((lap) => !(lap.role in OTHER_DRIVERS));
    const clean = own.filter((lap) => lap.clean).length;
    say(byId("laps-note"), own.length ? `${clean} of the last ${counted(own.length, "lap")} clean` : "");
    table.update([...byKey.keys()], (key, cells, row) => {
      const lap = byKey.get(key);
      mark(row, "data-clean", lap.clean);
      if (!cells[0].firstChild) cells[0].append(make("span.swatch"), make("span"), make("span.quiet"));
      if (!cells[2].firstChild) cells[2].append(make("span.mark"));
      cells[0].style.setProperty("--car", `var(${carVariable(store.indexOf(lap.car))})`);
      const [word, words] = OTHER_DRIVERS[lap.role] ?? ["", null];
      say(cells[0].children[1], lap.car);
      say(cells[0].lastChild, word);
      mark(cells[0].lastChild, "title", words);
      say(cells[1], fixed(lap.seconds, 2) + " s");
      say(cells[2].firstChild, lap.clean ? "✓ clean" : "✗ touched");
      say(cells[3], lap.clean ? whole(lap.clean_in_a_row) : UNKNOWN);
      say(cells[4], age(store.now() - lap.at));
    });
  };
}

function showPolicies(store) {
  const table = new Table(
    byId("policies"),
    [["Policy", ""], ["Clean laps", "n"], ["Lap", "n"], ["Metres", "n"], ["Step", "n"], ["Scored on", ""], ["Ago", "n"], ["Fits", "wide"]],
    "No policy was exported yet",
  );
  return () => {
    const policies = new Map((store.box?.shelf?.policies ?? []).map((policy) => [policy.name, policy]));
    table.update([...policies.keys()], (name, cells, row) => {
      const policy = policies.get(name);
      mark(row, "data-policy", name);
      mark(row, "data-drives", store.driven.has(name) ? "" : null);
      const lap = policy.lap_time == null ? UNKNOWN : fixed(policy.lap_time, 2) + " s";
      const figures = [percent(policy.clean_lap_rate), lap, fixed(policy.metres), compact(policy.train_step)];
      const words = [name, ...figures, policy.track || UNKNOWN, age(store.now() - policy.at), policy.fits || "yes"];
      words.forEach((text, index) => say(cells[index], text));
    });
  };
}

function showCheckpoints(store) {
  const table = new Table(
    byId("checkpoints"),
    [["Checkpoint", ""], ["Steps", "n"], ["Trained", "n"], ["Size", "n"], ["Ago", "n"]],
    "No checkpoint yet",
  );
  return () => {
    const checkpoints = new Map((store.box?.shelf?.checkpoints ?? []).map((saved) => [saved.name, saved]));
    table.update([...checkpoints.keys()], (name, cells) => {
      const saved = checkpoints.get(name);
      const words = [name, compact(saved.env_steps), compact(saved.train_steps), size(saved.bytes), age(store.now() - saved.at)];
      words.forEach((text, index) => say(cells[index], text));
    });
  };
}

/** Keep all tables up to date. */
export function showTables(store, restart) {
  const draws = [showProcesses(store, restart), showLaps(store), showPolicies(store), showCheckpoints(store)];
  const draw = coalesced(() => draws.forEach((one) => one()));
  store.on("box", draw);
  every(1, draw);
}
