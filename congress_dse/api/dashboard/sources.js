// Sources: when each was read last, how long that took, what failed, what is stale.

import { order, path } from "./api.js";
import { place } from "./engine.js";
import { empty, facts, h, mark, put } from "./dom.js";
import { NONE, ago, count, several, span } from "./format.js";
import { Grid } from "./grid.js";
import { sourceState } from "./health.js";
import { doing, link, panel, to } from "./ui.js";

/** Seconds since the source brought rows last; null where it never did. */
export function readAgo(one) {
  if (one.poll) return one.poll.last_good_s;
  return one.last_updated ? Math.max(0, (Date.now() - Date.parse(one.last_updated)) / 1000) : null;
}

/** The same in words. */
export const read = (one) => (readAgo(one) === null ? "never" : ago(readAgo(one)));

const error = (one) => sourceState(one)[2] || (one.state === "fresh" ? "" : one.last_error) || "";
const number = (id, title, about, value, show = (x) => count(x), more = {}) => ({
  id, title, about, number: true, width: title.length + 5, value, show: (one) => (value(one) === null || value(one) === undefined ? NONE : show(value(one))), ...more,
});

const COLUMNS = [
  { id: "source", title: "Source", width: 20, slim: 14, value: (one) => one.source, show: (one) => to(one.source, "sources", one.source) },
  { id: "state", title: "State", width: 14, slim: 12, value: (one) => sourceState(one)[1], show: (one) => mark(...sourceState(one)) },
  { id: "read", title: "Last read", about: "Since it brought rows last", number: true, width: 15, slim: 14, value: readAgo, show: read },
  number("took", "Took", "The last read, from its start to its end", (one) => one.poll?.last_s, span, { wide: true, width: 11 }),
  number("every", "Every", "The time between two reads", (one) => one.poll?.every_s, (s) => (s ? span(s) : "on refresh"), { wide: true, width: 11 }),
  number("rows", "Rows", "In all its tables", (one) => one.rows, count, { width: 10 }),
  number("failures", "Failures", "Reads that failed, of all", (one) => one.poll?.failures, count, { wide: true, width: 13 }),
  { id: "error", title: "Why", grow: true, width: 24, wide: true, value: error, show: (one) => error(one) || NONE },
  { id: "driver", title: "Driver", wide: true, width: 14, value: (one) => one.driver },
  { id: "worker", title: "Worker", wide: true, width: 13, value: place },
];

/** The sources that run, and those of the catalogue that do not. */
export function every(running, catalogue) {
  const names = new Set(running.map((one) => one.source));
  const others = catalogue.filter((one) => !names.has(one.name)).map((one) => ({
    source: one.name, driver: one.driver, state: one.enabled ? "absent" : "disabled", stale: [], last_error: "", poll: null, tables: 0, rows: null, worker: "",
  }));
  return [...running, ...others];
}

/** All sources. */
export function sources(page) {
  page.head("Sources", "What outside systems are read, when each was read last, and what is not up to date. A failing source keeps its last good rows.");
  const grid = new Grid({
    caption: "Sources", columns: COLUMNS, key: (one) => `${one.source}~${one.node}`, noun: "source", sort: { column: "source" },
    empty: empty("There is no source.", "Add a section [datasource:NAME] with a driver to the configuration and reload, or POST to v1/data-sources. ", h("code", null, "congress-dse drivers list"), " shows the drivers."),
  });
  page.body.append(h("div", { class: "panel" }, grid.element));
  let [running, catalogue] = [null, []];
  const show = () => running && grid.set(every(running, catalogue));
  page.watch("sources", (data) => (running = data.results, show()));
  page.watch("catalogue", (data) => (catalogue = data.results, show()));
  page.ends(() => grid.dispose());
}

/** One source. */
export function source(page, name) {
  page.head(name, "", [["Sources", link("sources")]]);
  const [about, state, stale, config] = [h("div"), h("div", { class: "row-buttons" }), h("div", { class: "stack" }), h("div")];
  const refresh = doing("Read it now", async () => {
    await order("POST", `${path("data-sources", name)}?action=request-refresh`, {});
    return `${name} is being read.`;
  });
  const list = h("div");
  page.body.append(
    panel("How it fares", { aside: state }, h("div", { class: "stack" }, about, h("div", { class: "row-buttons" }, refresh, to("Its mailbox", "services", name)))),
    stale,
    panel("Tables", { inside: false }, list),
    panel("Configuration", {}, config),
  );
  let [running, catalogue] = [null, []];
  const show = () => {
    const one = running && every(running, catalogue).find((each) => each.source === name);
    if (!one) {
      if (running) put(about, empty(`There is no source ${name}.`, "It may have been deleted."));
      return;
    }
    put(state, mark(...sourceState(one)));
    put(about, told(one));
    put(stale, ...(one.stale.length ? [staleness(one)] : []));
  };
  page.watch("sources", (data) => (running = data.results, show()));
  page.watch("catalogue", (data) => {
    catalogue = data.results;
    const entry = catalogue.find((each) => each.name === name);
    put(config, entry ? facts([["Driver", entry.driver], ["Description", entry.description], ["Enabled", entry.enabled ? "yes" : "no"], ["Id", h("code", null, entry.id)], ...Object.entries(entry.config).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)])]) : h("p", { class: "quiet" }, "The catalogue does not have it."));
    show();
  });
  page.watch("tables", (data) => put(list, tablesOf(data.results.filter((one) => one.service === name && !one.internal), name)));
}

function told(one) {
  const poll = one.poll;
  return facts([
    ["Last read", read(one)],
    ["It took", poll ? span(poll.last_s) : null],
    ["Read every", poll ? (poll.every_s ? span(poll.every_s) : "on refresh only") : "written from outside"],
    ["Next read", poll && poll.next_s !== null ? `in ${span(poll.next_s)}` : poll?.running_s ? `runs for ${span(poll.running_s)}` : null],
    ["Deadline of a read", poll?.deadline_s ? span(poll.deadline_s) : null],
    ["Reads", poll ? count(poll.polls) : count(one.updates)],
    ["Failures", poll ? `${count(poll.failures)}, ${count(poll.failures_in_a_row)} in a row` : null],
    ["Tables", count(one.tables)],
    ["Rows", count(one.rows)],
    ["Subscribers", count(one.subscribers)],
    ["Worker", place(one)],
    ["Last error", one.last_error && h("span", { class: one.state === "fresh" ? "" : "error-text" }, one.last_error)],
  ]);
}

function staleness(one) {
  const rows = one.stale.map((each) => h("tr", null, h("th", { scope: "row" }, each.table || "all tables"), h("td", { class: "number" }, span(each.age_s)), h("td", null, each.cause)));
  return panel("Not up to date", { inside: false, aside: h("span", { class: "quiet" }, "its tables keep their last good rows") },
    h("table", { class: "list" }, h("caption", { class: "unseen" }, "Tables that are not up to date"),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Table"), h("th", { scope: "col", class: "number" }, "For"), h("th", { scope: "col" }, "Why"))), h("tbody", null, rows)));
}

function tablesOf(tables, name) {
  if (!tables.length) return empty("It has brought no table yet.", "The first read makes them.");
  const rows = tables.map((one) => h("tr", null,
    h("th", { scope: "row" }, to(one.table, "tables", name, one.table)),
    h("td", { class: "number" }, one.rows === null ? NONE : count(one.rows)),
    h("td", { class: "number" }, count(one.version)),
    h("td", { class: "number" }, ago(one.age_s)),
    h("td", { class: "number" }, several(one.subscribers.length, "follower"))));
  const heads = [["Table"], ["Rows", 1], ["Version", 1], ["Changed", 1], ["Followed by", 1]].map(([title, right]) => h("th", { scope: "col", class: right ? "number" : null }, title));
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": `Tables of ${name}` }, h("table", { class: "list" }, h("caption", { class: "unseen" }, `Tables of ${name}`), h("thead", null, h("tr", null, heads)), h("tbody", null, rows)));
}
