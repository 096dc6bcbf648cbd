// Asking the run for something, over HTTP, and the token that some monitors want for it.

import { toast } from "./toast.js";

const KEY = "robo-token";

/** What the monitor's refusals mean to whoever pressed a button. */
const REFUSALS = {
  401: "this monitor wants its token first",
  404: "there is no such thing in this run",
  503: "Redis does not answer",
  504: "the run does not answer",
};

/** The token that was typed in; kept for as long as the tab. @returns {string} */
export function token() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} value */
export function keepToken(value) {
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    toast("This browser keeps no token: storage is refused", "trouble");
  }
}

/**
 * Ask, and tell in words what came of it. Whether it was done.
 * @param {string} what in words, to begin a sentence with
 * @param {string} path below /api
 * @param {Object} body
 * @param {string} run
 */
export async function ask(what, path, body, run) {
  const address = new URL(`api/${path}`, document.baseURI);
  if (run) address.searchParams.set("run", run);
  const headers = { "Content-Type": "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  try {
    const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
    const told = await answer.json().catch(() => ({}));
    if (answer.ok) {
      toast(told.text || `${what}: done`);
      return true;
    }
    toast(`${what}: ${told.error || REFUSALS[answer.status] || `refused (${answer.status})`}`, "trouble");
    if (answer.status === 401) dispatchEvent(new Event("tokenwanted"));
  } catch {
    toast(`${what}: the monitor does not answer`, "trouble");
  }
  return false;
}
