// Where cars are between two messages: on a curve from the state before to the newest one.

/** m/s; faster than any car. */
const FASTEST = 20;
/** Metres that are taken for driving whatever the clock says, and that are never taken for it. */
const STEP = 1;
const LONGEST_STEP = 3;
const SHORTEST_GAP = 0.03;
const LONGEST_GAP = 0.4;
const TRAIL_SECONDS = 1.6;

/** Whether a car was put elsewhere between two states, rather than driven there. */
export function elsewhere(before, after) {
  if (before.session !== after.session || before.returns !== after.returns) return true;
  if (before.track !== after.track) return true;
  const metres = Math.hypot(
    after.position[0] - before.position[0],
    after.position[1] - before.position[1],
    after.position[2] - before.position[2],
  );
  // A run faster than real time may drive a metre and more between two messages: its own clock tells.
  return metres > LONGEST_STEP || (metres > STEP && metres > FASTEST * (after.time - before.time));
}

/** One car's motion. Seconds are of any clock that goes on evenly. */
export class Motion {
  constructor() {
    this.state = null;
    this.from = null;
    this.to = null;
    this.begun = 0;
    this.gap = 0.05;
    /** Where the car was shown lately: x, z, seconds. @type {Array<[number, number, number]>} */
    this.trail = [];
  }

  /** Take a car's next state; the same state twice is once. */
  take(state, now) {
    const before = this.state;
    if (before && before.time === state.time && before.session === state.session) return;
    const pose = { x: state.position[0], z: state.position[2], yaw: state.yaw };
    if (!before || elsewhere(before, state)) {
      this.from = pose;
      this.trail = [];
    } else {
      this.from = this.at(now);
      const gap = Math.min(LONGEST_GAP, Math.max(SHORTEST_GAP, now - this.begun));
      this.gap += (gap - this.gap) * 0.2;
    }
    this.state = state;
    this.to = pose;
    this.begun = now;
  }

  /** Where the car is shown. @returns {?{x: number, z: number, yaw: number}} */
  at(now) {
    if (!this.to) return null;
    const share = Math.min(1, Math.max(0, (now - this.begun) / this.gap));
    return share >= 1 ? this.to : between(this.from, this.to, share);
  }

  /** Note where the car was shown, for its trail. */
  remember(pose, now) {
    const last = this.trail.at(-1);
    if (!last || Math.hypot(pose.x - last[0], pose.z - last[1]) > 0.02) this.trail.push([pose.x, pose.z, now]);
    while (this.trail.length && now - this.trail[0][2] > TRAIL_SECONDS) this.trail.shift();
  }
}

/** A cubic curve that leaves and arrives the way the car faces: chords would cut corners. */
function between(from, to, share) {
  const chord = Math.hypot(to.x - from.x, to.z - from.z);
  const [s2, s3] = [share * share, share * share * share];
  const weights = [2 * s3 - 3 * s2 + 1, s3 - 2 * s2 + share, 3 * s2 - 2 * s3, s3 - s2];
  const on = (start, startWay, end, endWay) =>
    weights[0] * start + weights[1] * chord * startWay + weights[2] * end + weights[3] * chord * endWay;
  const turn = Math.atan2(Math.sin(to.yaw - from.yaw), Math.cos(to.yaw - from.yaw));
  return {
    x: on(from.x, Math.sin(from.yaw), to.x, Math.sin(to.yaw)),
    z: on(from.z, Math.cos(from.yaw), to.z, Math.cos(to.yaw)),
    yaw: from.yaw + turn * share,
  };
}
