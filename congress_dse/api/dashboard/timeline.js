// Timeline: what happened to the engine, also before its last start.

import { get } from "./api.js";
import { empty, h, put, shape } from "./dom.js";
import { clock } from "./format.js";
import { explained } from "./ui.js";

const KINDS = { error: "bad", critical: "bad", warning: "warn", info: "idle", good: "good" };
const WORDS = { bad: "error", warn: "warning", idle: "", good: "" };

/** What happened, newest first. */
export function timeline(page) {
  page.head("Timeline", "What happened to the engine and its parts, newest first. It is kept in the database, so it goes on over a restart.");
  const kind = h("select", { id: "kind" }, h("option", { value: "" }, "everything"));
  const filter = h("input", { type: "search", id: "timeline-filter", placeholder: "Filter", autocomplete: "off" });
  const grave = h("input", { type: "checkbox", id: "grave" });
  const told = h("span", { class: "grid-count" });
  const list = h("ol", { class: "timeline" });
  const older = h("button", { type: "button" }, "Show older");
  const after = h("div", { class: "inside row-buttons" }, older);
  page.body.append(h("section", { class: "panel", "aria-label": "Events" }, h("div", { class: "grid-tools" },
    h("label", { for: "timeline-filter", class: "unseen" }, "Filter the events"), filter, h("label", { for: "kind", class: "quiet" }, "Kind"), kind,
    h("span", { class: "row-buttons" }, grave, h("label", { for: "grave", class: "quiet" }, "warnings and errors only")), told), list, after));
  const events = new Map();
  const show = () => {
    const every = [...events.values()].sort((a, b) => b.id - a.id);
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = every.filter((one) => (!kind.value || one.kind === kind.value) && (!grave.checked || one.level !== "info")
      && words.every((word) => `${one.kind} ${one.subject} ${one.worker} ${one.text}`.toLowerCase().includes(word)));
    put(told, kept.length === every.length ? `${every.length} events` : `${kept.length} of ${every.length} events`);
    list.replaceChildren(...drawn(kept));
    if (!kept.length) list.append(h("li", { class: "blank" }, every.length ? empty("No event matches.") : empty("Nothing has happened yet.", "Starts, ends, restarts, failures and reloads appear here.")));
    after.hidden = !every.length || older.ended;
    const kinds = [...new Set(every.map((one) => one.kind))].sort();
    if (kinds.length + 1 !== kind.options.length) {
      const chosen = kind.value;
      put(kind, h("option", { value: "" }, "everything"), ...kinds.map((each) => h("option", { value: each }, each)));
      kind.value = chosen;
    }
  };
  older.addEventListener("click", async () => {
    const least = Math.min(...events.keys());
    older.disabled = true;
    try {
      const found = await get(`v1/engine/timeline?limit=200&before=${least}`);
      older.ended = !found.results.length;
      for (const one of found.results) events.set(one.id, one);
      show();
    } catch (error) {
      put(told, explained(error));
    } finally {
      older.disabled = false;
    }
  });
  for (const each of [kind, grave]) each.addEventListener("change", show);
  filter.addEventListener("input", show);
  let newest = -1;
  page.watch("timeline", (data) => {
    for (const one of data.results) events.set(one.id, one);
    const last = data.results[0]?.id ?? 0;
    if (last !== newest) show();
    newest = last;
  });
}

/** The items of a list of events, with a line where a day begins. */
export function drawn(events, days = true) {
  const items = [];
  let day = "";
  for (const one of events) {
    const date = new Date(one.at);
    const own = date.toDateString();
    if (days && own !== day) items.push(h("li", { class: "day" }, date.toLocaleDateString("en", { weekday: "long", year: "numeric", month: "long", day: "numeric" })));
    day = own;
    items.push(item(one, date));
  }
  return items;
}

function item(one, date) {
  const level = KINDS[one.level] ?? "idle";
  const [head, ...rest] = one.text.split("\n");
  const text = h("span", { class: "text" },
    WORDS[level] ? h("strong", null, `${WORDS[level]}: `) : null,
    one.subject && !head.startsWith(one.subject) ? `${one.subject}: ${head}` : head,
    one.worker && one.worker !== one.subject ? h("span", { class: "quiet" }, ` (${one.worker})`) : null,
    rest.length ? h("details", null, h("summary", null, "more"), h("pre", { tabindex: 0 }, rest.join("\n"))) : null);
  return h("li", null, h("time", { datetime: one.at, title: date.toString() }, clock(date)), shape(level), h("span", { class: "kind" }, one.kind.replaceAll("-", " ")), text);
}
