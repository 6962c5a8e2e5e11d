// Waits: who waits in its own turn for whom, circles among them, and where everybody is.

import { get, path } from "./api.js";
import { place } from "./engine.js";
import { empty, h, mark, put } from "./dom.js";
import { NONE, several, span } from "./format.js";
import { Grid } from "./grid.js";
import { doing, explained, link, panel, to } from "./ui.js";

/** Who waits for whom, and stacks; `name` is the service or worker whose stack is shown. */
export function waits(page, name = "") {
  page.head("Waits", "Which services wait for an answer of another in their own turn. Several that wait in a circle would wait for ever; the engine fails one of them, at once inside a process.");
  const circles = h("div");
  const grid = new Grid({
    caption: "Who waits for whom", key: (one) => `${one.node} ${one.who} ${one.what}`, noun: "wait", sort: { column: "for", down: true },
    columns: [
      { id: "who", title: "Service", width: 20, value: (one) => one.who, show: (one) => to(one.who, "waits", one.who) },
      { id: "whom", title: "Waits for", width: 20, value: (one) => one.whom, show: (one) => to(one.whom, "waits", one.whom) },
      { id: "what", title: "What it asked", width: 18, value: (one) => one.what },
      { id: "for", title: "For", number: true, width: 15, value: (one) => one.for_s, show: (one) => (one.for_s > 5 ? mark("warn", span(one.for_s)) : span(one.for_s)) },
      { id: "circle", title: "Circle", width: 12, value: (one) => (one.circle ? "yes" : ""), show: (one) => (one.circle ? mark("bad", "circle") : NONE) },
      { id: "at", title: "Where it is", wide: true, grow: true, width: 36, value: (one) => one.at },
      { id: "worker", title: "Worker", wide: true, width: 13, value: place },
    ],
    empty: empty("Nobody waits.", "No service is waiting for the answer of another at this moment."),
  });
  const choose = h("select", { id: "stack-of" });
  const stack = h("pre", { tabindex: 0, "aria-label": "Stack", hidden: true });
  const shown = h("p", { class: "quiet" }, "A stack is read at this moment, also of a worker whose hub is blocked.");
  const read = async () => {
    if (!choose.value) return;
    put(shown, `Reading where ${choose.value} is…`);
    try {
      const found = await get(path("engine", "stacks", choose.value));
      put(shown, `Where ${choose.value} was a moment ago:`);
      stack.textContent = found.results.map((one) => one.stack || "Nothing of it runs: it waits for a message.").join("\n\n");
      stack.hidden = false;
    } catch (error) {
      put(shown, explained(error));
      stack.hidden = true;
    }
  };
  choose.addEventListener("change", () => (location.hash = link("waits", choose.value)));
  page.body.append(circles, h("div", { class: "panel low" }, grid.element),
    panel("Stacks", {}, h("div", { class: "stack" }, h("div", { class: "row-buttons" }, h("label", { for: "stack-of" }, "Where is"), choose, doing("Read again", read)), shown, stack)));
  const known = { workers: [], services: [] };
  const offer = () => {
    const names = [...known.workers, ...known.services];
    if (name && !names.includes(name)) names.unshift(name);
    if (choose.options.length === names.length + 1) return;
    put(choose, h("option", { value: "" }, "choose a worker or a service"), ...group("Workers", known.workers), ...group("Services", names.filter((each) => !known.workers.includes(each))));
    choose.value = name;
  };
  page.watch("waits", (data) => {
    grid.set(data.results);
    put(circles, ...data.circles.map((ring) => panel("Circle", { aside: mark("bad", several(ring.length, "service")) }, ringed(ring))));
  });
  page.watch("workers", (data) => (known.workers = data.results.map((one) => one.name), offer()));
  page.watch("services", (data) => (known.services = data.results.map((one) => one.service).sort(), offer()));
  if (name) {
    put(choose, h("option", { value: name }, name));
    read();
  }
  page.ends(() => grid.dispose());
}

const group = (title, names) => (names.length ? [h("optgroup", { label: title }, names.map((each) => h("option", { value: each }, each)))] : []);

function ringed(ring) {
  const parts = [...ring, ring[0]].flatMap((each, n) => [n ? h("span", { class: "quiet" }, "waits for") : null, to(each, "services", each)]);
  return h("p", { class: "circle" }, parts);
}
