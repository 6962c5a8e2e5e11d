// Services: their mailboxes, the deepest first; and one of them with all that is known of it.

import { get, path } from "./api.js";
import { bar, sparkline } from "./chart.js";
import { empty, facts, h, mark, put } from "./dom.js";
import { history, named, place } from "./engine.js";
import { NONE, count, rate, span } from "./format.js";
import { Grid } from "./grid.js";
import { LIMITS, serviceState } from "./health.js";
import { doing, link, panel, to } from "./ui.js";

const old = (value) => (value > LIMITS.oldest_s ? mark("warn", span(value)) : value ? span(value) : NONE);

const COLUMNS = [
  { id: "service", title: "Service", width: 24, slim: 15, grow: true, value: (one) => one.service, show: (one) => to(one.service, "services", one.service) },
  { id: "state", title: "State", width: 13, slim: 12, value: (one) => serviceState(one)[1], show: (one) => mark(...serviceState(one)) },
  { id: "depth", title: "Waiting", about: "Messages that wait in its mailbox; the bar is their share of its capacity", number: true, width: 15, slim: 11, value: (one) => one.depth, show: (one) => bar(count(one.depth), one.depth, one.capacity, serviceState(one)[0]) },
  { id: "oldest", title: "Oldest", about: "Age of the oldest message that waits", number: true, width: 15, slim: 12, value: (one) => one.oldest_s, show: (one) => old(one.oldest_s) },
  { id: "rate", title: "Handled", about: "Messages handled per second", number: true, wide: true, width: 11, value: (one) => history.latest(`rate:${named(one)}`) ?? 0, show: (one) => rate(history.latest(`rate:${named(one)}`)) },
  { id: "spark", title: "Last minutes", about: "Messages handled per second since this page was opened, or for the last three minutes", wide: true, sort: false, width: 16, value: () => "", show: (one) => sparkline(history.values(`rate:${named(one)}`), { about: `${one.service}: messages per second`, height: 20 }) },
  { id: "failed", title: "Failed", about: "Messages whose handling raised", number: true, wide: true, width: 10, value: (one) => one.failed, show: (one) => count(one.failed) },
  { id: "dropped", title: "Dropped", about: "Messages that found its mailbox full", number: true, wide: true, width: 12, value: (one) => one.dropped, show: (one) => count(one.dropped) },
  { id: "restarts", title: "Restarts", number: true, wide: true, width: 12, value: (one) => one.restarts, show: (one) => count(one.restarts) },
  { id: "worker", title: "Worker", wide: true, width: 13, value: place },
];

const OWN = new Set(["cage", "own"]);

/** All services. */
export function services(page) {
  page.head("Services", "Actors by what waits in their mailboxes. A service that falls behind has a growing number of messages, or an old one, waiting.");
  const own = h("input", { type: "checkbox", id: "own" });
  const grid = new Grid({
    caption: "Services", columns: COLUMNS, key: named, noun: "service", sort: { column: "depth", down: true },
    empty: empty("No service of your own runs yet.", "Add a section [datasource:NAME] to the configuration, or create a source over the API; tick the box above to see the engine's own services."),
  });
  const ownLabel = h("label", { for: "own", class: "quiet" }, "the engine's own");
  grid.tools.append(h("span", { class: "row-buttons" }, own, ownLabel));
  let last = [];
  const show = () => {
    const hidden = last.filter((one) => OWN.has(one.kind)).length;
    put(ownLabel, `the engine's own (${hidden})`);
    grid.set(own.checked ? last : last.filter((one) => !OWN.has(one.kind)));
  };
  own.addEventListener("change", show);
  page.body.append(h("div", { class: "panel" }, grid.element));
  page.watch("services", (data) => (last = data.results, show()));
  page.ends(() => grid.dispose());
}

/** One service. */
export function service(page, name) {
  page.head(name, "", [["Services", link("services")]]);
  const [about, charts, state] = [h("div"), h("div", { class: "columns" }), h("div", { class: "row-buttons" })];
  const stack = h("pre", { tabindex: 0, "aria-label": `Stack of ${name}`, hidden: true });
  const read = doing("Show its stack", async () => {
    const answer = await get(path("engine", "stacks", name));
    stack.textContent = answer.results.map((one) => one.stack || "It runs nothing at this moment: it waits for a message.").join("\n");
    stack.hidden = false;
  });
  page.body.append(
    panel("Mailbox", { aside: state }, about),
    charts,
    panel("Where it is", {}, h("div", { class: "stack" }, h("div", { class: "row-buttons" }, read, to("Who waits for whom", "waits")), stack)),
  );
  page.watch("services", (data) => {
    const found = data.results.filter((one) => one.service === name);
    if (!found.length) {
      put(about, empty(`No node has a service ${name}.`, "It may have been stopped, or its worker is being replaced."));
      put(charts);
      return;
    }
    put(state, mark(...serviceState(found[0])));
    put(about, ...found.map(told));
    put(charts, ...found.flatMap(drawn));
  });
}

function told(one) {
  const mean = (total) => (one.handled ? span(total / one.handled) : NONE);
  return facts([
    ["Waiting", `${count(one.depth)} of ${count(one.capacity)}`],
    ["Oldest message", one.oldest_s ? span(one.oldest_s) : "none waits"],
    ["In hand", one.in_hand ? `for ${span(one.in_hand_s)}` : "nothing"],
    ["Handled", count(one.handled)],
    ["Mean time in the mailbox", mean(one.mailbox_s)],
    ["Mean time to handle", mean(one.handler_s)],
    ["Failed", count(one.failed)],
    ["Dropped", count(one.dropped), "Messages that found its mailbox full"],
    ["Merged", count(one.coalesced), "Table updates that were merged because it was behind"],
    ["Restarts", count(one.restarts)],
    ["Up for", one.up_s === null ? NONE : span(one.up_s)],
    ["Worker", `${place(one)} (${one.node})`],
    ["Class", h("code", null, one.class)],
    ["Keys", one.keys.join(", ")],
    ["Supervised with", one.group],
    ["The message in hand", one.in_hand && h("code", null, one.in_hand)],
    ["Last error", one.last_error && h("span", { class: "error-text" }, one.last_error)],
    ["Tables", one.kind === "source" ? to("Its tables", "tables", one.service) : ""],
  ]);
}

function drawn(one) {
  const name = named(one);
  const line = (title, key, tell) => {
    const values = history.values(key);
    const now = values.at(-1) ?? 0;
    const most = Math.max(0, ...values);
    return panel(title, { aside: h("span", { class: "quiet" }, `now ${tell(now)}, at most ${tell(most)}`) },
      values.length > 1 ? chart(values, title) : h("p", { class: "quiet" }, "Drawn from the next reading on."));
  };
  return [line("Messages waiting", `depth:${name}`, count), line("Messages handled per second", `rate:${name}`, rate)];
}

function chart(values, about) {
  return sparkline(values, { about, width: 480, height: 72, kind: "tall" });
}
