// Overview: is my engine well? What is not and why; then its figures, sources, workers and last events.

import { sparkline } from "./chart.js";
import { empty, h, mark, put, shape } from "./dom.js";
import { history } from "./engine.js";
import { NONE, ago, count, rate, several, short, span } from "./format.js";
import { problems, sourceState } from "./health.js";
import { every, read } from "./sources.js";
import { drawn } from "./timeline.js";
import { link, panel, to } from "./ui.js";

const NEEDED = ["ready", "services", "sources"]; // known before anything is judged
const MOST = 12; // problems, sources and events that are shown

/** The first page. */
export function overview(page) {
  page.head("Overview");
  page.judges = true;
  const known = {};
  const verdict = h("div");
  const list = h("ol", { class: "problems" });
  const listed = h("section", { class: "panel", "aria-label": "What needs attention", hidden: true }, list);
  const figures = h("div", { class: "figures" });
  const [sources, workers, events] = [h("div"), h("div"), h("ol", { class: "timeline" })];
  page.body.append(verdict, listed, figures,
    h("div", { class: "columns" }, panel("Sources", { inside: false, aside: h("a", { href: link("sources") }, "All sources") }, sources),
      panel("Workers", { inside: false, aside: h("a", { href: link("workers") }, "All workers") }, workers)),
    panel("Lately", { inside: false, aside: h("a", { href: link("timeline") }, "Timeline") }, events));
  const show = () => {
    if (known.sources && known.catalogue) known.everySource = every(known.sources.results, known.catalogue.results);
    judge(verdict, list, listed, known);
    figured(figures, known);
    if (known.sources) put(sources, sourced(known.everySource ?? known.sources.results));
    if (known.workers) put(workers, worked(known.workers.results));
    if (known.timeline) put(events, ...(known.timeline.results.length ? drawn(known.timeline.results.filter((one) => one.kind !== "node-joined").slice(0, 8), false) : [h("li", null, "Nothing has happened yet.")]));
  };
  let due = false;
  for (const name of ["ready", "services", "sources", "catalogue", "tables", "workers", "links", "letters", "waits", "timeline"]) {
    page.watch(name, (data) => {
      known[name] = data;
      if (due) return;
      due = true; // the answers of one moment are shown together
      setTimeout(() => (due = false, show()), 50);
    });
  }
  put(verdict, h("div", { class: "verdict" }, shape("idle"), h("h2", null, "Asking the engine…")));
}

function judge(verdict, list, listed, known) {
  if (!NEEDED.every((name) => known[name])) return;
  const found = problems(known);
  const bad = found.filter((one) => one.kind === "bad").length;
  const [kind, title, more] = !found.length ? ["good", "All is well", `${several(known.sources.results.length, "source")} up to date, ${several(known.services.asked.length, "process", "processes")} answer`]
    : bad ? ["bad", `${several(bad, "thing")} ${bad === 1 ? "is" : "are"} broken`, found.length > bad ? `and ${count(found.length - bad)} to look at` : ""]
      : ["warn", `${several(found.length, "thing")} to look at`, "nothing is broken"];
  const says = `${title}${more}`;
  if (verdict.dataset.says !== says) {
    verdict.dataset.says = says;
    put(verdict, h("div", { class: `verdict ${kind}`, role: "status" }, shape(kind), h("div", null, h("h2", null, title), more ? h("p", { class: "quiet" }, more) : null)));
  }
  listed.hidden = !found.length;
  const items = found.slice(0, MOST).map((one) => h("li", null, shape(one.kind), h("span", { class: "what" }, one.what), h("span", { class: "why" }, h("span", { class: "unseen" }, one.kind === "bad" ? "broken: " : "look at: "), one.why), h("a", { href: one.href, "aria-label": `Show ${one.what}` }, "Show")));
  if (found.length > MOST) items.push(h("li", null, shape("idle"), h("span", { class: "why" }, `and ${count(found.length - MOST)} more`)));
  const fresh = h("ol", null, items);
  if (fresh.innerHTML !== list.innerHTML) list.replaceChildren(...fresh.children);
}

function figured(figures, known) {
  const services = known.services?.results ?? [];
  const deepest = services.reduce((most, one) => (one.depth > (most?.depth ?? 0) ? one : most), null);
  const oldest = services.reduce((most, one) => (one.oldest_s > (most?.oldest_s ?? 0) ? one : most), null);
  const tables = known.tables?.results.filter((one) => !one.internal) ?? [];
  const rows = tables.reduce((sum, one) => sum + (one.rows ?? 0), 0);
  const own = services.filter((one) => one.kind === "service" || one.kind === "source").length;
  put(figures, 
    figure("Services", known.services ? count(own) : NONE, `and ${count(services.length - own)} of the engine's own`, null, "services"),
    figure("Messages handled", rate(history.latest("rate")), "by all services", sparkline(history.values("rate"), { about: "Messages handled per second" }), "services"),
    figure("Messages waiting", known.services ? count(services.reduce((sum, one) => sum + one.depth, 0)) : NONE, deepest ? `most in ${deepest.service}: ${count(deepest.depth)}` : "no mailbox has any", sparkline(history.values("depth"), { about: "Messages waiting", most: 10 }), "services"),
    figure("Oldest message", oldest ? span(oldest.oldest_s) : "none", oldest ? `in ${oldest.service}` : "nothing waits", null, "services"),
    figure("Tables", known.tables ? count(tables.length) : NONE, several(rows, "row"), null, "tables"),
    figure("Dead letters", known.letters ? short(known.letters.total) : NONE, known.letters?.total ? `the last ${ago(known.letters.results[0].age_s)}` : "every message was handled", null, "letters"));
}

function figure(name, value, more, chart, where) {
  return h("a", { class: "figure", href: link(where) }, h("span", { class: "name" }, name), h("span", { class: "value" }, value), h("span", { class: "more" }, more), chart);
}

const RANK = { bad: 0, warn: 1, idle: 2, good: 3 };

function sourced(list) {
  if (!list.length) return empty("There is no source.", "Add a section [datasource:NAME] to the configuration, and reload.");
  const sorted = [...list].sort((a, b) => RANK[sourceState(a)[0]] - RANK[sourceState(b)[0]] || a.source.localeCompare(b.source)).slice(0, MOST);
  return small("Sources", ["Source", "State", ["Last read"], ["Took", "wide"], ["Rows"]], sorted.map((one) => [to(one.source, "sources", one.source), mark(...sourceState(one)), [read(one)], [span(one.poll?.last_s), "wide"], [count(one.rows)]]));
}

function worked(list) {
  if (!list.length) return empty("There are no workers.", "Everything runs in one process.");
  return small("Workers", ["Worker", "State", ["Up for"], ["Replaced"]], list.map((one) => [one.name, mark(one.state === "ready" ? "good" : "warn", one.state), [span(one.started_s_ago)], [count(one.ends?.length ?? 0)]]));
}

/** A table that is there whole; a heading or cell in brackets is a number's, with its further class. */
function small(caption, heads, rows) {
  const place = (tag, what, properties) => (Array.isArray(what) ? h(tag, { ...properties, class: `number ${what[1] ?? ""}` }, what[0]) : h(tag, properties, what));
  return h("table", { class: "list" }, h("caption", { class: "unseen" }, caption),
    h("thead", null, h("tr", null, heads.map((head) => place("th", head, { scope: "col" })))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((each, n) => place(n ? "td" : "th", each, n ? null : { scope: "row" }))))));
}
