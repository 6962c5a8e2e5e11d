// Processes: the supervision tree, the workers and why each was replaced, nodes and links.

import { hostOf, place } from "./engine.js";
import { empty, facts, h, mark, put } from "./dom.js";
import { NONE, ago, bytes, cell, count, several, span } from "./format.js";
import { Grid } from "./grid.js";
import { endWhy, linkState } from "./health.js";
import { panel, to } from "./ui.js";

const STATES = { ready: "good", running: "good", idle: "good", busy: "good", waiting: "good", starting: "warn", booting: "warn", stopping: "warn", draining: "warn", down: "bad", "given up": "bad", silent: "bad" };
const stateMark = (word) => mark(STATES[word] ?? "idle", word || "unknown");

// The supervision tree.

const OPEN_MOST = 60; // children of a group that is shown open

/** The rows of the tree, from what the API says: the master, its workers, their groups, services. */
export function twigs({ results, master, asked }) {
  const home = asked.length ? hostOf(asked[0].node) : ""; // who answers has asked itself first
  const rows = [];
  const add = (depth, key, name, about) => rows.push({ depth, key, name, ...about });
  add(0, "master", "master", { of: master ? `pid ${master.pid}` : "one process", state: master?.state ?? "running", children: true });
  const workers = master?.workers ?? [];
  const seen = new Set();
  const cages = (list, depth, above) => {
    for (const cage of list) {
      seen.add(cage);
      for (const group of cage.groups) {
        let [level, parent] = [depth, above];
        if (group.group) {
          parent = `${above}/${group.group}`;
          add(depth, parent, group.group, { of: `group, ${group.strategy}, at most ${group.intensity} in ${span(group.period_s)}`, state: group.failure ? "given up" : "running", error: group.failure, children: group.children.length, above });
          level = depth + 1;
        }
        for (const child of group.children) {
          add(level, `${parent}/${child.name}`, child.name, { of: child.kind === "service" ? "" : child.kind, state: child.state, restarts: child.restarts, up_s: child.up_s, error: child.last_error, service: true, above: parent });
        }
      }
    }
  };
  for (const worker of workers) {
    const key = `worker ${worker.name}`;
    const own = results.filter((cage) => cage.node.startsWith(`${worker.name}.${worker.pid}@`) && hostOf(cage.node) === home);
    const services = own.reduce((sum, cage) => sum + cage.groups.reduce((n, group) => n + group.children.length, 0), 0);
    add(1, key, worker.name, { of: `worker, pid ${worker.pid}, ${several(services, "service")}`, state: worker.state, restarts: (master.ends ?? []).filter((end) => end.name === worker.name).length, up_s: worker.started_s_ago, children: services, above: "master" });
    cages(own, 2, key);
  }
  const others = results.filter((cage) => !seen.has(cage));
  for (const cage of others) {
    const key = `node ${cage.node}`;
    const services = cage.groups.reduce((n, group) => n + group.children.length, 0);
    add(1, key, place(cage), { of: several(services, "service"), state: "running", children: services, above: "master" });
    cages([cage], 2, key);
  }
  return rows;
}

/** The supervision tree. */
export function tree(page) {
  page.head("Supervision", "Who restarts whom: the master its workers, each worker's cage its services. A group restarts its services together.");
  const shut = new Map(); // by key, once the user has said so
  let rows = [];
  const closed = (row) => shut.get(row.key) ?? row.children > OPEN_MOST; // as long as the user has not said
  const twig = (row) => {
    const name = row.service ? to(row.name, "services", row.name) : h("strong", null, row.name);
    const button = row.children ? h("button", { type: "button", "data-key": row.key, "aria-expanded": String(!closed(row)), "aria-label": `${row.name}: its services` }, closed(row) ? "▸" : "▾") : h("span", { class: "leaf" });
    return h("span", { class: `twig d${row.depth}` }, button, name, h("span", { class: "of" }, row.of));
  };
  const grid = new Grid({
    caption: "Supervision tree", key: (row) => row.key, noun: "entry", nouns: "entries",
    columns: [
      { id: "name", title: "Name", sort: false, width: 40, slim: 30, grow: true, value: (row) => row.name, show: twig },
      { id: "state", title: "State", sort: false, width: 14, value: (row) => row.state, show: (row) => stateMark(row.state) },
      { id: "restarts", title: "Restarts", sort: false, number: true, width: 12, value: (row) => row.restarts, show: (row) => (row.restarts === undefined ? NONE : count(row.restarts)) },
      { id: "up", title: "Up for", sort: false, number: true, wide: true, width: 15, value: (row) => row.up_s, show: (row) => span(row.up_s) },
      { id: "error", title: "Last error", sort: false, wide: true, width: 44, value: (row) => row.error, show: (row) => row.error || NONE },
    ],
  });
  const own = h("input", { type: "checkbox", id: "own" });
  grid.tools.append(h("span", { class: "row-buttons" }, own, h("label", { for: "own", class: "quiet" }, "the engine's own")));
  own.addEventListener("change", () => show());
  const show = () => {
    const hidden = new Set();
    const shown = rows.filter((row) => {
      if (row.of === "own" && !own.checked && !row.error) return false;
      if (hidden.has(row.above)) {
        hidden.add(row.key);
        return false;
      }
      if (row.children && closed(row)) hidden.add(row.key);
      return true;
    });
    grid.set(shown);
  };
  grid.element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-key]");
    const row = button && rows.find((each) => each.key === button.dataset.key);
    if (!row) return;
    shut.set(row.key, !closed(row));
    show();
    [...grid.element.querySelectorAll("button[data-key]")].find((each) => each.dataset.key === row.key)?.focus();
  });
  page.body.append(h("div", { class: "panel" }, grid.element));
  page.watch("tree", (data) => (rows = twigs(data), show()));
  page.ends(() => grid.dispose());
}

// Workers.

/** The workers, and why those before them ended. */
export function workers(page) {
  page.head("Workers", "The processes of the engine. The master replaces one that dies, that is silent for too long, or that is told to end.");
  const [about, nodes, ends] = [h("div"), new Map(), h("div")];
  const node = (one) => nodes.get(`${one.name}.${one.pid}`);
  const hub = (one) => {
    const asked = node(one)?.asked;
    if (!asked) return mark("idle", "not asked");
    if (!asked.answered) return mark("bad", "no answer", asked.cause);
    return asked.blocked_s ? mark("bad", `blocked ${span(asked.blocked_s)}`) : mark("good", "turns");
  };
  const grid = new Grid({
    caption: "Workers", key: (one) => `${one.name} ${one.pid}`, noun: "worker", sort: { column: "name" }, filter: false,
    columns: [
      { id: "name", title: "Worker", width: 14, grow: true, value: (one) => one.name },
      { id: "state", title: "State", width: 12, value: (one) => one.state, show: (one) => stateMark(one.state) },
      { id: "hub", title: "Hub", about: "Whether its event loop turns", width: 18, value: (one) => node(one)?.asked?.blocked_s ?? 0, show: hub },
      { id: "pid", title: "PID", number: true, width: 11, value: (one) => one.pid, show: (one) => String(one.pid ?? NONE) },
      { id: "up", title: "Up for", number: true, width: 15, value: (one) => one.started_s_ago, show: (one) => span(one.started_s_ago) },
      { id: "ends", title: "Replaced", about: "Times that a worker in this place ended", number: true, width: 12, value: (one) => one.ends?.length ?? 0, show: (one) => count(one.ends?.length ?? 0) },
      { id: "services", title: "Services", number: true, wide: true, width: 12, value: (one) => node(one)?.fact?.services, show: (one) => count(node(one)?.fact?.services) },
      { id: "depth", title: "Waiting", about: "Messages in all its mailboxes", number: true, wide: true, width: 11, value: (one) => node(one)?.fact?.depth, show: (one) => count(node(one)?.fact?.depth) },
      { id: "cpu", title: "CPU time", number: true, wide: true, width: 12, value: (one) => node(one)?.fact?.cpu_s, show: (one) => span(node(one)?.fact?.cpu_s) },
      { id: "rss", title: "Memory", number: true, wide: true, width: 12, value: (one) => one.rss_b, show: (one) => (one.rss_b ? bytes(one.rss_b) : NONE) },
      { id: "requests", title: "Requests", number: true, wide: true, width: 12, value: (one) => one.requests, show: (one) => count(one.requests) },
      { id: "stack", title: "Stack", sort: false, width: 10, value: () => "", show: (one) => to("stack", "waits", one.name) },
    ],
    empty: empty("There are no workers.", "Everything runs in one process (option workers = 0)."),
  });
  page.body.append(panel("Master", {}, about), h("div", { class: "panel" }, grid.element), panel("Why workers ended", { inside: false }, ends));
  page.watch("workers", (data) => {
    const reload = data.master.reload ?? {};
    const crews = Object.entries(data.master.services ?? {}).map(([name, crew]) => `${name} ${crew.ready} of ${crew.wanted} ready`).join(", ");
    put(about, facts([
      ["State", stateMark(data.master.state)], ["PID", String(data.master.pid)], ["Workers", crews],
      ["Reloads", reload.count ? `${count(reload.count)}, the last one ${reload.state}` : "none"],
      ["Why it failed", reload.cause], ["Parked work", data.master.parked?.length ? several(data.master.parked.length, "piece") : ""],
    ]));
    grid.set(data.results);
    put(ends, ended(data.results));
  });
  page.watch("nodes", (data) => {
    nodes.clear();
    const home = hostOf(data.asked[0]?.node ?? "");
    const key = (one) => (hostOf(one.node) === home ? one.node.slice(0, one.node.indexOf("@")) : one.node);
    for (const asked of data.asked) nodes.set(key(asked), { asked });
    for (const fact of data.results) nodes.set(key(fact), { ...nodes.get(key(fact)), fact });
  });
  page.ends(() => grid.dispose());
}

function ended(list) {
  const all = list.flatMap((one) => one.ends ?? []);
  if (!all.length) return empty("No worker has ended since the master began.", "Earlier lives of the engine are in the ", to("timeline", "timeline"), ".");
  const rows = all.sort((a, b) => a.ended_s_ago - b.ended_s_ago).map((end) => h("tr", null,
    h("td", { class: "number" }, ago(end.ended_s_ago)), h("th", { scope: "row" }, end.name), h("td", { class: "number" }, String(end.pid)),
    h("td", { class: "number" }, span(end.lived_s)), h("td", null, end.asked ? mark("idle", "asked to") : mark("bad", "died")), h("td", null, reason(end))));
  const heads = [["When", 1], ["Worker"], ["PID", 1], ["Lived", 1], ["How"], ["Why"]].map(([title, right]) => h("th", { scope: "col", class: right ? "number" : null }, title));
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Workers that ended" }, h("table", { class: "list" }, h("caption", { class: "unseen" }, "Why workers ended"), h("thead", null, h("tr", null, heads)), h("tbody", null, rows)));
}

function reason(end) {
  if (!end.cause?.includes("\n")) return endWhy(end);
  return h("details", null, h("summary", null, endWhy(end)), h("pre", { tabindex: 0 }, end.cause));
}

// Nodes and links.

const counts = (one) => Object.entries(one).filter(([key, value]) => !SHOWN.has(key) && typeof value === "number" && value);
const counted = (one) => counts(one).map(([key, value]) => `${key.replace(/_b$/, "").replaceAll("_", " ")} ${key.endsWith("_b") ? bytes(value) : cell(value)}`).join(", ");
const SHOWN = new Set(["node", "worker", "link", "name", "state", "depth", "since_s", "heard_s", "error", "kind", "sent_b", "received_b"]);

/** Links and the nodes that they join. */
export function links(page) {
  page.head("Links", "How the workers are one bus, and what joins it to others. Each link is told of by the node at its end.");
  const silent = h("div");
  const grid = new Grid({
    caption: "Links", key: (one) => `${one.node} ${one.link}`, noun: "link", sort: { column: "node" },
    columns: [
      { id: "node", title: "From", width: 16, value: place },
      { id: "to", title: "To", width: 22, grow: true, value: (one) => one.nodes?.join(", ") || one.link },
      { id: "state", title: "State", width: 12, value: (one) => linkState(one)[1], show: (one) => mark(...linkState(one)) },
      { id: "depth", title: "Waiting", about: "Messages that wait to be sent", number: true, width: 12, value: (one) => one.depth, show: (one) => count(one.depth) },
      { id: "since", title: "Since", number: true, width: 14, value: (one) => one.since_s, show: (one) => span(one.since_s) },
      { id: "heard", title: "Heard", about: "Since anything came from the other side", number: true, wide: true, width: 12, value: (one) => one.heard_s, show: (one) => ago(one.heard_s) },
      { id: "sent", title: "Sent", number: true, wide: true, width: 12, value: (one) => one.sent_b, show: (one) => bytes(one.sent_b) },
      { id: "received", title: "Received", number: true, wide: true, width: 13, value: (one) => one.received_b, show: (one) => bytes(one.received_b) },
      { id: "more", title: "Further counts", sort: false, wide: true, width: 26, value: counted },
      { id: "error", title: "Last error", wide: true, width: 14, value: (one) => one.error ?? "", show: (one) => one.error || NONE },
    ],
    empty: empty("There are no links.", "One process alone has none. With workers of [processes] each worker has one to every other."),
  });
  const nodes = new Grid({
    caption: "Nodes", key: (one) => one.node, noun: "node", sort: { column: "node" }, filter: false,
    columns: [
      { id: "node", title: "Node", width: 30, grow: true, value: (one) => one.node },
      { id: "up", title: "Up for", number: true, width: 15, value: (one) => one.up_s, show: (one) => span(one.up_s) },
      { id: "services", title: "Services", number: true, width: 12, value: (one) => one.services, show: (one) => count(one.services) },
      { id: "handled", title: "Handled", about: "Messages", number: true, wide: true, width: 13, value: (one) => one.handled, show: (one) => count(one.handled) },
      { id: "failed", title: "Failed", about: "Messages whose handling raised", number: true, wide: true, width: 11, value: (one) => one.failed, show: (one) => count(one.failed) },
      { id: "asks", title: "Open asks", number: true, wide: true, width: 13, value: (one) => one.open_asks, show: (one) => count(one.open_asks) },
      { id: "late", title: "Asks too late", number: true, wide: true, width: 16, value: (one) => one.ask_timeouts, show: (one) => count(one.ask_timeouts) },
      { id: "letters", title: "Dead letters", number: true, wide: true, width: 15, value: (one) => one.dead_letters.kept, show: (one) => count(one.dead_letters.kept) },
    ],
  });
  page.body.append(silent, h("div", { class: "panel low" }, grid.element), h("div", { class: "panel low" }, nodes.element));
  page.watch("links", (data) => grid.set(data.results));
  page.watch("nodes", (data) => {
    nodes.set(data.results);
    put(silent, ...(data.silent?.length ? [panel("Nodes that do not answer", {}, h("ul", null, data.silent.map((one) => h("li", null, mark("bad", one.node), " ", one.cause))))] : []));
  });
  page.ends(() => (grid.dispose(), nodes.dispose()));
}

