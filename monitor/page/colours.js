// The colours that canvases draw with: the style sheet's own, so that both themes hold everywhere.

const CARS = 10;
/** Slow to fast; blue to red, light in the middle. */
const RAMP = [
  [58, 98, 235],
  [44, 178, 232],
  [92, 214, 136],
  [246, 204, 66],
  [247, 128, 56],
  [226, 45, 57],
];

let values = new Map();
addEventListener("themechange", () => (values = new Map()));

/** A custom property of the theme in force, such as "--text". @param {string} name */
export function themed(name) {
  if (!values.has(name)) {
    values.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return values.get(name);
}

/** The custom property that is the colour of a run's car. @param {number} index its place among the run's cars */
export const carVariable = (index) => `--car-${Math.max(0, index) % CARS}`;

/** The colour of a speed. @param {number} share 0 slow .. 1 fast */
export function speedColour(share) {
  const place = Math.min(1, Math.max(0, share)) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  const mixed = RAMP[low].map((value, channel) => value + (RAMP[low + 1][channel] - value) * (place - low));
  return `rgb(${mixed.map(Math.round).join(" ")})`;
}
