// Tables: their size, version and age, who lags; and one of them live, with what has just changed.

import { follow, get, onLine, path } from "./api.js";
import { History, sparkline } from "./chart.js";
import { place } from "./engine.js";
import { empty, facts, h, mark, put, shape } from "./dom.js";
import { NONE, ago, clock, count, several, span } from "./format.js";
import { Grid } from "./grid.js";
import { link, panel, to } from "./ui.js";

const state = (one) => (one.stale ? ["warn", "stale", one.stale.cause] : ["good", "fresh", ""]);
const lag = (one) => (one.lag ? several(one.lag, "version") : NONE);

const COLUMNS = [
  { id: "service", title: "Source", width: 20, slim: 11, value: (one) => one.service, show: (one) => to(one.service, "sources", one.service) },
  { id: "table", title: "Table", width: 24, slim: 14, grow: true, value: (one) => one.table, show: (one) => to(one.table, "tables", one.service, one.table) },
  { id: "rows", title: "Rows", number: true, width: 12, slim: 11, value: (one) => one.rows, show: (one) => count(one.rows) },
  { id: "version", title: "Version", about: "Changes since its publisher began", number: true, wide: true, width: 12, value: (one) => one.version, show: (one) => count(one.version) },
  { id: "age", title: "Changed", about: "Since its last change", number: true, width: 16, slim: 13, value: (one) => one.age_s, show: (one) => ago(one.age_s) },
  { id: "state", title: "State", wide: true, width: 12, value: (one) => state(one)[1], show: (one) => mark(...state(one)) },
  { id: "followers", title: "Followers", number: true, wide: true, width: 13, value: (one) => one.subscribers.length, show: (one) => count(one.subscribers.length) },
  { id: "lag", title: "Lag", about: "The versions that the slowest follower has yet to see", number: true, wide: true, width: 13, value: (one) => one.lag, show: lag },
  { id: "worker", title: "Worker", wide: true, width: 13, value: place },
];

/** All tables. */
export function tables(page, service = "") {
  page.head(service ? `Tables of ${service}` : "Tables", "What the sources have brought. Open one to see its rows change.", service ? [["Tables", link("tables")]] : []);
  const grid = new Grid({
    caption: "Tables", columns: COLUMNS, key: (one) => `${one.node}~${one.service}~${one.table}`, noun: "table", sort: { column: "service" },
    empty: empty("No table was published yet.", "A source makes its tables with its first read. See ", to("the sources", "sources"), "."),
  });
  const internal = h("input", { type: "checkbox", id: "internal" });
  const label = h("label", { for: "internal", class: "quiet" }, "the engine's own");
  grid.tools.append(h("span", { class: "row-buttons" }, internal, label));
  let last = [];
  const show = () => {
    put(label, `the engine's own (${last.filter((one) => one.internal).length})`);
    grid.set(internal.checked ? last : last.filter((one) => !one.internal));
  };
  internal.addEventListener("change", show);
  page.body.append(h("div", { class: "panel" }, grid.element));
  page.watch("tables", (data) => (last = data.results.filter((one) => !service || one.service === service), show()));
  page.ends(() => grid.dispose());
}

const WORDS = { live: ["good", "Live"], again: ["warn", "Connecting again"], refused: ["bad", "Cannot be followed"], first: ["idle", "Connecting"], read: ["good", "Read at each change"] };
const PAGE_ROWS = 10000;
const SLOT_S = 2; // of the chart of changes

/** One table, live. */
export function table(page, service, name) {
  new LiveTable(page, service, name);
}

class LiveTable {
  constructor(page, service, name) {
    Object.assign(this, { page, service, name, grid: null, mark: null, last: null, word: "first" });
    this.changes = new History();
    this.pending = 0;
    page.head(`${service}: ${name}`, "", [["Tables", link("tables")], [service, link("sources", service)]]);
    this.line = h("span", { class: "live" });
    this.told = h("span", { class: "quiet" });
    this.spark = h("div");
    this.about = h("div");
    this.followers = h("div");
    this.place = h("div", { class: "panel low data-grid" });
    page.body.append(panel("State", { aside: this.line }, h("div", { class: "columns" }, this.about, h("div", null, this.spark, this.told))), this.place, panel("Followers", { inside: false }, this.followers));
    put(this.place, h("div", { class: "inside quiet" }, "The rows are being read…"));
    this._say("first");
    page.watch("tables", (data) => this._facts(data.results.find((one) => one.service === service && one.table === name)));
    const timer = setInterval(() => this._tick(), SLOT_S * 1000);
    page.ends(() => (clearInterval(timer), this.grid?.dispose()));
    page.ends(onLine((line) => this._say(line.up ? this.word : "again", line.why)));
    this._begin();
    this._tick();
  }

  async _begin() {
    const here = ["data-sources", this.service, "tables", this.name];
    const ends = new AbortController();
    this.page.ends(() => ends.abort());
    let columns = [];
    try {
      columns = (await get(path(...here, "spec"), ends.signal)).columns.map((column) => column.name);
    } catch (error) {
      if (ends.signal.aborted) return;
      if (error.status === 404) this.reads = true;
    }
    if (this.reads) {
      this._state("read");
      return;
    }
    this.columns = columns;
    const stream = follow(path(...here, "events"), (kind, data) => this._event(kind, data), (word, error) => this._state(word, error));
    this.page.ends(() => stream.stop());
  }

  _state(word, error) {
    this.word = word;
    if (word === "refused" && error.status === 404 && !this.reads) {
      this.reads = true; // the table of a service that is no source: it is read, and not streamed
      this._state("read");
      return;
    }
    this._say(word, error?.message);
  }

  _say(word, why = "") {
    const [kind, text] = WORDS[word];
    put(this.line, mark(kind, text, why), why ? h("span", null, why) : null);
  }

  _event(kind, data) {
    if (kind !== "snapshot" && kind !== "delta") return;
    this.mark = { epoch: data.epoch, version: data.version };
    if (kind === "snapshot") this._snapshot(data.rows);
    else if (kind === "delta") this._delta(data.removed, data.added);
    this._summary();
  }

  _snapshot(rows) {
    const tabular = rows.map((row) => (Array.isArray(row) ? row : [row]));
    if (!this.grid) this._build(tabular);
    this.grid.set(tabular);
    this.last = { at: new Date(), text: "read whole" };
  }

  _delta(removed, added) {
    if (!this.grid) return;
    const asRow = (row) => (Array.isArray(row) ? row : [row]);
    const [fresh, changed, gone] = this.grid.change(removed.map(asRow), added.map(asRow));
    this.pending += fresh + changed + gone;
    const parts = [fresh && `${count(fresh)} new`, changed && `${count(changed)} changed`, gone && `${count(gone)} gone`].filter(Boolean);
    this.last = { at: new Date(), text: parts.join(", ") || "no row differs" };
  }

  _build(rows) {
    const width = Math.max(1, rows[0]?.length ?? this.columns?.length ?? 1);
    const some = rows.slice(0, 100);
    const columns = Array.from({ length: width }, (_, n) => ({
      id: String(n), title: this.columns?.[n] ?? `column ${n + 1}`, value: (row) => row[n],
      number: some.length > 0 && some.every((row) => typeof row[n] === "number"),
    }));
    this.grid = new Grid({
      caption: `Rows of ${this.service}: ${this.name}`, columns, key: (row) => JSON.stringify(row), mark: true, sort: { column: "0" },
      empty: empty("The table has no rows.", "They appear here as soon as the source brings some."),
    });
    this.grid.tools.append(h("span", { class: "legend" }, h("span", null, "changed"), h("span", { class: "legend-new" }, "new")));
    put(this.place, this.grid.element);
  }

  _facts(one) {
    if (!one) {
      if (!this.grid) put(this.about, empty("The table has no data yet.", "It is shown as soon as its source brings it."));
      this.place.hidden = !this.grid;
      return;
    }
    this.fact = one;
    this.place.hidden = false;
    this._summary();
    put(this.followers, one.subscribers.length ? followers(one) : h("div", { class: "inside" }, empty("Nobody follows this table.", "Services do with subscribe(), people with congress-dse serve --watch, and this page does while it is open.")));
    if (this.reads && this.seen !== one.version) this._read(one.version);
  }

  /** A table of a service that is no source: its rows are read anew when its version has changed. */
  async _read(version) {
    this.seen = version;
    const rows = [];
    let marker = "";
    try {
      do {
        const found = await get(`${path("engine", "tables", this.service, this.name, "rows")}?limit=1000${marker ? `&marker=${encodeURIComponent(marker)}` : ""}`);
        rows.push(...found.rows);
        marker = found.marker;
        this.columns ??= found.columns;
        this.mark = { epoch: found.epoch, version: found.version };
      } while (marker && rows.length < PAGE_ROWS);
      this._snapshot(rows);
      this._summary();
    } catch (error) {
      this._say("again", error.message);
    }
  }

  _summary() {
    const one = this.fact;
    const rows = this.grid ? this.grid.rows.size : one?.rows;
    put(this.about, facts([
      ["Rows", rows === undefined || rows === null ? NONE : count(rows)],
      ["Version", count(this.mark?.version ?? one?.version)],
      ["Changed", one ? ago(one.age_s) : null],
      ["State", one ? mark(...state(one)) : null],
      ["Not up to date for", one?.stale ? `${span(one.stale.age_s)}: ${one.stale.cause}` : null],
      ["Followers", one ? count(one.subscribers.length) : null],
      ["Worker", one ? place(one) : null],
    ]));
  }

  _tick() {
    this.changes.add("rows", this.pending / SLOT_S);
    this.pending = 0;
    const values = this.changes.values("rows");
    const most = Math.max(...values);
    put(this.spark, sparkline(values, { about: `Changed rows per second, at most ${most.toFixed(1)}`, width: 360, height: 44, kind: "tall" }));
    put(this.told, `Rows changed per second, last ${span(values.length * SLOT_S)}, at most ${most.toFixed(1)}. ${this.last ? `${clock(this.last.at)}: ${this.last.text}.` : ""}`);
  }
}

function followers(one) {
  const heads = [["Follower"], ["Version", 1], ["Behind by", 1], ["For", 1], ["Messages waiting", 1], ["Worker"]].map(([title, right]) => h("th", { scope: "col", class: right ? "number" : null }, title));
  const rows = one.subscribers.map((each) => h("tr", null,
    h("th", { scope: "row" }, h("span", { class: "mark" }, shape(each.lag > 0 || each.behind ? "warn" : "good"), to(each.subscriber, "services", each.subscriber))),
    h("td", { class: "number" }, each.version === null ? NONE : count(each.version)),
    h("td", { class: "number" }, each.lag === null ? "has seen none" : each.lag ? several(each.lag, "version") : NONE),
    h("td", { class: "number" }, each.lag ? span(each.lag_s) : NONE),
    h("td", { class: "number" }, count(each.depth)),
    h("td", null, place(each))));
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Who follows this table" }, h("table", { class: "list" }, h("caption", { class: "unseen" }, "Followers of this table"), h("thead", null, h("tr", null, heads)), h("tbody", null, rows)));
}
