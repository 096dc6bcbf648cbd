// Values as people read them. What is not known is a dash, never a zero.

export const UNKNOWN = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A number with so many decimals. @param {?number} value @param {number} digits */
export function fixed(value, digits = 1) {
  return known(value) ? value.toFixed(digits) : UNKNOWN;
}

/** A whole number with its thousands told apart. @param {?number} value */
export function whole(value) {
  return known(value) ? Math.round(value).toLocaleString("en") : UNKNOWN;
}

/** A count in three digits or so: 12.3k, 1.2M. @param {?number} value */
export function compact(value) {
  if (!known(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= 999_500) return trimmed(value / 1e6) + "M";
  if (size >= 9_995) return trimmed(value / 1e3) + "k";
  return size >= 100 || Number.isInteger(value) ? whole(value) : trimmed(value);
}

/** A measured value, however large or small. @param {?number} value */
export function measured(value) {
  if (!known(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e7)) return value.toExponential(1).replace("e+", "e");
  if (size >= 9_995) return compact(value);
  return String(Number(value.toPrecision(3)));
}

/** A share as per cent. @param {?number} share */
export function percent(share, digits = 0) {
  return known(share) ? (share * 100).toFixed(digits) + " %" : UNKNOWN;
}

/** A time span on a clock: 0:07, 12:30, 1:02:03. @param {?number} seconds */
export function clock(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const total = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(total / 60) % 60, total % 60];
  if (total >= 3600) parts.unshift(Math.floor(total / 3600));
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** How long ago, or for how long, in its largest unit. @param {?number} seconds */
export function age(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const span = Math.max(0, seconds);
  if (span < 10) return span.toFixed(1) + " s";
  if (span < 100) return Math.floor(span) + " s";
  if (span < 6000) return Math.floor(span / 60) + " min";
  if (span < 48 * 3600) return Math.floor(span / 3600) + " h";
  return Math.floor(span / 86400) + " d";
}

/** Milliseconds where that is the better unit. @param {?number} seconds */
export function shortAge(seconds) {
  if (!known(seconds)) return UNKNOWN;
  return seconds < 1 ? Math.max(0, Math.round(seconds * 1000)) + " ms" : age(seconds);
}

/** Bytes in units of 1024, as the system's monitors show them. @param {?number} bytes */
export function size(bytes) {
  if (!known(bytes)) return UNKNOWN;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** With its sign. @param {?number} value */
export function signed(value, digits = 1) {
  if (!known(value)) return UNKNOWN;
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
}

/** "1 lap", "2 laps". @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = one + "s") {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

function trimmed(value) {
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}
