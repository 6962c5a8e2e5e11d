// Numbers and times as people read them, with their units.

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const NONE = "–";

const absent = (value) => value === null || value === undefined || Number.isNaN(value);

/** 12,345 */
export function count(value) {
  return absent(value) ? NONE : COUNT.format(value);
}

/** 12K */
export function short(value) {
  if (absent(value)) return NONE;
  return Math.abs(value) < 10000 ? COUNT.format(value) : SHORT.format(value);
}

/** 3.4/s */
export function rate(value) {
  if (absent(value)) return NONE;
  if (value === 0) return "0/s";
  return `${value < 10 ? value.toFixed(1) : short(value)}/s`;
}

/** A length of time, given in seconds, in at most two units: 340 ms, 4.2 s, 3 min 20 s, 2 d 4 h. */
export function span(seconds) {
  if (absent(seconds)) return NONE;
  const value = Math.max(0, seconds);
  if (value === 0) return "0 s";
  if (value < 0.001) return "<1 ms";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 59.5) return `${Math.round(value)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return two(whole, 60, "min", "s");
  if (whole < 86400) return two(Math.floor(whole / 60), 60, "h", "min");
  return two(Math.floor(whole / 3600), 24, "d", "h");
}

function two(value, size, large, small) {
  const rest = value % size;
  const head = `${Math.floor(value / size)} ${large}`;
  return rest ? `${head} ${rest} ${small}` : head;
}

/** How long ago: "4.2 s ago". */
export function ago(seconds) {
  if (absent(seconds)) return NONE;
  return seconds < 0.9995 ? "just now" : `${span(seconds)} ago`;
}

const two0 = (value) => String(value).padStart(2, "0");

/** The time of day of a moment, given as seconds since 1970 or as a Date: 15:42:08. */
export function clock(when) {
  const date = when instanceof Date ? when : new Date(when * 1000);
  return `${two0(date.getHours())}:${two0(date.getMinutes())}:${two0(date.getSeconds())}`;
}

/** A moment with its day where that is not today. */
export function moment(seconds) {
  if (absent(seconds)) return NONE;
  const date = new Date(seconds * 1000);
  if (date.toDateString() === new Date().toDateString()) return clock(date);
  return `${date.getFullYear()}-${two0(date.getMonth() + 1)}-${two0(date.getDate())} ${clock(date)}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 12.3 MiB */
export function bytes(value) {
  if (absent(value)) return NONE;
  let unit = 0;
  let left = value;
  while (left >= 1024 && unit < UNITS.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${unit && left < 100 ? left.toFixed(1) : Math.round(left)} ${UNITS[unit]}`;
}

/** "1 service", "3 services" */
export function several(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A cell of a table as text. */
export function cell(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "number" && !Number.isInteger(value)) return String(Math.round(value * 1e6) / 1e6);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
