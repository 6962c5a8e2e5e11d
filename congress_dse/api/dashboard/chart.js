// Small charts: a line of what was measured lately, and the samples that it is drawn from.

import { h, s } from "./dom.js";

const KEPT = 90; // samples of one line
const LEAST = 30; // that a line has room for, so that the first ones do not look like many

/** The last samples of many things by name; a counter is kept as its change per second. */
export class History {
  constructor() {
    this.lines = new Map();
    this._last = new Map();
  }

  /** Take a value as it is. */
  add(name, value) {
    let values = this.lines.get(name);
    if (!values) this.lines.set(name, (values = []));
    values.push(value);
    if (values.length > KEPT) values.shift();
  }

  /** Take a counter; answers its change per second, null where that is not known yet. */
  count(name, total, seconds = performance.now() / 1000) {
    const last = this._last.get(name);
    this._last.set(name, [total, seconds]);
    if (!last || seconds <= last[1]) return this.latest(name);
    const rate = Math.max(0, total - last[0]) / (seconds - last[1]); // a restarted one begins at 0
    this.add(name, rate);
    return rate;
  }

  latest(name) {
    return this.lines.get(name)?.at(-1) ?? null;
  }

  values(name) {
    return this.lines.get(name) ?? [];
  }

  /** Forget the names that `keep` does not want. */
  prune(keep) {
    for (const name of this.lines.keys()) if (!keep(name)) this.lines.delete(name);
    for (const name of this._last.keys()) if (!keep(name)) this._last.delete(name);
  }
}

/** A line of `values`, oldest first, from 0 up to `most` or the largest; `about` is its text for who cannot see it. */
export function sparkline(values, { about = "", most = 0, width = 120, height = 28, kind = "" } = {}) {
  const top = Math.max(most, ...values, 1e-9);
  const step = width / (Math.max(LEAST, values.length) - 1);
  const from = width - (values.length - 1) * step;
  const points = values.map((value, n) => `${(from + n * step).toFixed(1)},${(height - 1.5 - (value / top) * (height - 4)).toFixed(1)}`);
  const drawn = s("svg", { class: `spark ${kind}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": about },
    s("path", { class: "spark-base", d: `M0 ${height - 1}H${width}` }));
  if (points.length > 1) {
    drawn.append(
      s("path", { class: "spark-area", d: `M${from.toFixed(1)},${height - 1}L${points.join("L")}L${width},${height - 1}Z` }),
      s("polyline", { class: "spark-line", points: points.join(" ") }),
    );
  }
  return drawn;
}

/** A number beside a bar of how much of `most` it is. */
export function bar(text, value, most, kind = "") {
  const share = most > 0 ? Math.min(1, value / most) : 0;
  const fill = s("svg", { class: `bar ${kind}`, viewBox: "0 0 40 6", "aria-hidden": "true" },
    s("rect", { width: 40, height: 6, rx: 2, class: "bar-room" }),
    share > 0 ? s("rect", { width: Math.max(2, 40 * share).toFixed(1), height: 6, rx: 2, class: "bar-fill" }) : null);
  return h("span", { class: "with-bar" }, fill, h("span", null, text));
}
