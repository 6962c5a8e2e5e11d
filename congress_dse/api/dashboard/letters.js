// Dead letters: messages that nobody handled; sent once more, or discarded.

import { order, path } from "./api.js";
import { place } from "./engine.js";
import { empty, facts, h, put } from "./dom.js";
import { moment, several, span } from "./format.js";
import { Grid } from "./grid.js";
import { confirmed, doing, link, note, panel, to } from "./ui.js";

const number = (id) => id.slice(id.lastIndexOf("~") + 1);
const at = (one) => Date.parse(one.at) / 1000;

/** All letters, or with an id the one of it. */
export function letters(page, id = "") {
  if (id) one(page, id);
  else all(page);
}

function all(page) {
  page.head("Dead letters", "Messages that matched nobody, found a mailbox full, came too late or failed. Sent once more, a message goes to whom its key matches now.");
  const buttons = (letter) => h("span", { class: "row-buttons" },
    doing("Replay", () => replay(letter).then(again), { small: true, label: `Replay letter ${number(letter.id)}` }),
    doing("Discard", () => discard(letter).then(again), { small: true, label: `Discard letter ${number(letter.id)}` }));
  const grid = new Grid({
    caption: "Dead letters", key: (letter) => letter.id, noun: "letter", sort: { column: "at", down: true },
    columns: [
      { id: "number", title: "No.", width: 10, slim: 6, value: (letter) => Number(number(letter.id)), show: (letter) => to(number(letter.id), "letters", letter.id) },
      { id: "at", title: "When", width: 21, slim: 12, number: true, value: at, show: (letter) => moment(at(letter)) },
      { id: "reason", title: "Why", width: 22, slim: 16, grow: true, value: (letter) => letter.reason },
      { id: "key", title: "For", wide: true, width: 20, value: (letter) => letter.receiver || letter.key },
      { id: "sender", title: "From", wide: true, width: 18, value: (letter) => letter.sender },
      { id: "what", title: "What", wide: true, width: 18, value: (letter) => `${letter.type} ${letter.dataindex}` },
      { id: "attempts", title: "Lives cost", about: "Lives of its receiver that it cost", number: true, wide: true, width: 13, value: (letter) => letter.attempts },
      { id: "worker", title: "Worker", wide: true, width: 13, value: place },
      { id: "do", title: "Action", sort: false, width: 24, value: () => "", show: buttons },
    ],
    empty: empty("There are no dead letters.", "Every message found its receiver and was handled."),
  });
  const every = doing("Replay those shown", async () => {
    const shown = grid.rows.view.map((record) => record.row);
    if (!(await confirmed(`Replay ${several(shown.length, "letter")}?`, "Each is sent once more, to whom its key matches now. Those that fail again are dead letters again.", "Replay"))) return "";
    return many(shown, replayed, "replayed").finally(again);
  });
  const none = doing("Discard those shown", async () => {
    const shown = grid.rows.view.map((record) => record.row);
    if (!(await confirmed(`Discard ${several(shown.length, "letter")}?`, "They are gone for good.", "Discard"))) return "";
    return many(shown, discarded, "discarded").finally(again);
  });
  const more = h("span", { class: "quiet" });
  const both = h("span", { class: "row-buttons", hidden: true }, every, none);
  grid.tools.append(both, more);
  page.body.append(h("div", { class: "panel" }, grid.element));
  const watching = page.watch("letters", (data) => {
    grid.set(data.results);
    both.hidden = !data.results.length;
    put(more, data.total > data.results.length ? `the newest of ${several(data.total, "letter")}` : "");
  });
  const again = () => watching.now();
  page.ends(() => grid.dispose());
}

function one(page, id) {
  page.head(`Dead letter ${number(id)}`, "", [["Dead letters", link("letters")]]);
  let built = false;
  page.watch("letters", (data) => {
    if (built) return; // it does not change; what became of it is told by the list
    built = true;
    const letter = data.results.find((each) => each.id === id);
    if (!letter) {
      put(page.body, h("div", { class: "panel" }, empty("This letter is not kept any more.", "It was replayed or discarded, newer ones took its place, or its worker ended.")));
      return;
    }
    const back = () => (location.hash = link("letters"));
    put(page.body,
      panel("Message", {}, h("div", { class: "stack" }, facts([
        ["When", `${moment(at(letter))}, ${span(letter.age_s)} ago`], ["Why", letter.reason], ["Receiver", letter.receiver || "none"], ["Key", letter.key], ["From", letter.sender],
        ["What", `${letter.type} ${letter.dataindex}`], ["Lives cost", letter.attempts ? several(letter.attempts, "life", "lives") : ""], ["Worker", place(letter)],
      ]), h("div", { class: "row-buttons" }, doing("Replay", async () => void ((await replay(letter)) && back())), doing("Discard", async () => void ((await discard(letter)) && back()))))),
      panel("Body", {}, h("pre", { tabindex: 0, "aria-label": "Body" }, letter.body)),
      letter.stack ? panel("Stack", {}, h("pre", { tabindex: 0, "aria-label": "Stack" }, letter.stack)) : null);
  });
}

const replayed = (letter) => order("POST", `${path("engine", "dead-letters", letter.id)}?action=replay`, {});
const discarded = (letter) => order("DELETE", path("engine", "dead-letters", letter.id));

/** Ask, and send a letter once more; answers whether that was done. */
async function replay(letter) {
  const text = [`${letter.type} ${letter.dataindex} is sent once more, to whom ${letter.key} matches now.`];
  if (letter.attempts) text.push(`It has cost its receiver ${several(letter.attempts, "life", "lives")} so far.`);
  if (!(await confirmed(`Replay letter ${number(letter.id)}?`, text, "Replay"))) return false;
  await replayed(letter);
  note(`Letter ${number(letter.id)} was sent once more.`);
  return true;
}

/** Ask, and be rid of a letter; answers whether that was done. */
async function discard(letter) {
  if (!(await confirmed(`Discard letter ${number(letter.id)}?`, "It is gone for good.", "Discard"))) return false;
  await discarded(letter);
  note(`Letter ${number(letter.id)} was discarded.`);
  return true;
}

async function many(list, act, word) {
  let failed = 0;
  for (const letter of list) {
    try {
      await act(letter);
    } catch (error) {
      if (error.status === 0 || error.status === 401 || error.status === 403) throw error;
      failed += 1; // it is not kept any more, most likely
    }
  }
  return `${several(list.length - failed, "letter")} ${word}${failed ? `, ${failed} not` : ""}.`;
}
