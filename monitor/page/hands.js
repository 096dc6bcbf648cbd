// What hands want of a car: keys, pads on the screen, or a gamepad.

const KEYS = {
  ArrowLeft: "left", KeyA: "left",
  ArrowRight: "right", KeyD: "right",
  ArrowUp: "gas", KeyW: "gas",
  ArrowDown: "brake", KeyS: "brake", Space: "brake",
};
/** Full turns a second: keys know only all or nothing, and a wheel is let go of faster than it is turned. */
const TURN_IN = 3.5;
const TURN_BACK = 7;
/** Of a gamepad's stick, about its middle. */
const DEAD = 0.08;

export class Hands {
  constructor() {
    /** What is held down now, by whatever holds it: "key KeyW", "pad gas". */
    this.held = new Map();
    this.turn = 0;
  }

  /** Take a key; whether it is one that drives. @param {string} code @param {boolean} down */
  key(code, down) {
    if (!(code in KEYS)) return false;
    this.hold(`key ${code}`, KEYS[code], down);
    return true;
  }

  /** Take a press of a pad on the screen. @param {"left"|"right"|"gas"|"brake"} what @param {boolean} down */
  pad(what, down) {
    this.hold(`pad ${what}`, what, down);
  }

  hold(source, what, down) {
    if (down) this.held.set(source, what);
    else this.held.delete(source);
  }

  letGo() {
    this.held.clear();
    this.turn = 0;
  }

  /**
   * What is wanted now; the larger of what keys and gamepad say.
   * @param {number} seconds since the last call
   * @param {number} full what full gas is, 0..1
   * @returns {{throttle: number, turn: number, brake: number}} turn is positive to the left
   */
  wants(seconds, full) {
    const held = new Set(this.held.values());
    const pad = gamepad();
    const aim = Number(held.has("left")) - Number(held.has("right"));
    const speed = aim === 0 || Math.sign(aim) !== Math.sign(this.turn) ? TURN_BACK : TURN_IN;
    const step = speed * seconds;
    this.turn += Math.max(-step, Math.min(step, aim - this.turn));
    const brake = Math.max(Number(held.has("brake")), pad.brake);
    const gas = brake > 0 ? 0 : Math.max(Number(held.has("gas")), pad.gas);
    return {
      throttle: rounded(gas * full),
      turn: rounded(Math.abs(pad.turn) > Math.abs(this.turn) ? pad.turn : this.turn),
      brake: rounded(brake),
    };
  }
}

/** The first gamepad's wheel and pedals, 0 where there is none. */
function gamepad() {
  const pad = navigator.getGamepads?.().find((one) => one?.connected);
  if (!pad) return { turn: 0, gas: 0, brake: 0 };
  const stick = pad.axes[0] ?? 0;
  const beyond = Math.max(0, Math.abs(stick) - DEAD) / (1 - DEAD);
  return { turn: -Math.sign(stick) * beyond, gas: pad.buttons[7]?.value ?? 0, brake: pad.buttons[6]?.value ?? 0 };
}

const rounded = (value) => Math.round(value * 1000) / 1000;
