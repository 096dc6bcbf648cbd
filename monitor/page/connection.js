// The socket to the monitor: it is opened again, for ever, whenever it is lost or says nothing.

import { readPictures } from "./pictures.js";

const SHORTEST_WAIT = 0.5;
const LONGEST_WAIT = 5;
/** Seconds without a message after which a socket that claims to be open is given up. */
const SILENCE = 4;
const TOO_MANY_VIEWERS = 1013;

/**
 * @typedef {Object} Listener
 * @property {(message: Object) => void} message a text message, decoded
 * @property {(picture: {car: string, at: number, number: number, jpeg: Uint8Array}) => void} picture
 * @property {(state: "connecting"|"open"|"waiting", why: string) => void} state
 */
export class Connection {
  /** @param {URL} url @param {Listener} listener */
  constructor(url, listener) {
    this.url = url;
    this.listener = listener;
    this.wait = SHORTEST_WAIT;
    this.heard = 0;
    this.timer = 0;
    setInterval(() => this.look(), 500);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.heard = performance.now();
    this.listener.state("connecting", "");
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    // A socket that was given up may still speak: it is not listened to.
    const mine = (act) => (event) => this.socket === socket && act(event);
    socket.onopen = mine(() => (this.heard = performance.now()));
    socket.onmessage = mine(({ data }) => this.take(data));
    socket.onclose = mine(({ code, reason }) => {
      this.lost(code === TOO_MANY_VIEWERS ? "too many viewers" : reason);
    });
  }

  take(data) {
    this.heard = performance.now();
    this.wait = SHORTEST_WAIT;
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.topic === "hello") this.listener.state("open", "");
      this.listener.message(message);
    } else {
      readPictures(data).forEach((picture) => this.listener.picture(picture));
    }
  }

  /** Give up a socket that is open in name only: its own time-out may take minutes. */
  look() {
    if (this.socket && performance.now() - this.heard > SILENCE * 1000) {
      const { socket } = this;
      this.lost("silent");
      socket.close();
    }
  }

  lost(why) {
    this.socket = null;
    this.listener.state("waiting", why);
    clearTimeout(this.timer);
    // Not all pages at once, after a monitor was started anew.
    this.timer = setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 4) * 1000);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }

  /** Try at once rather than after the wait. */
  hurry() {
    if (this.timer) this.open();
  }

  /** Send a message; whether there was a socket to send it by. @param {Object} message */
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }
}
