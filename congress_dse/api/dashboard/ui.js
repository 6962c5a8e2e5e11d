// What views share: a page with its head, its watching and its end; questions and notes to the user.

import { h, put, shape } from "./dom.js";
import { clock, span } from "./format.js";
import { place, topic } from "./engine.js";

/** One view while it is shown. It lets go of all it watches when another one takes its place. */
export class Page {
  constructor(main) {
    this.main = main;
    this.judges = false; // whether the view itself says who was not heard
    this._ends = [];
    this._asof = h("span", { class: "asof" });
    this._heading = h("h1");
    this._about = h("p", { class: "about" });
    this._crumbs = h("p", { class: "crumbs" });
    this._problem = h("div", { class: "panel warning", role: "status", hidden: true });
    this.body = h("div", { class: "stack" });
    main.replaceChildren(h("div", { class: "head" }, this._crumbs, this._heading, this._asof, this._about), this._problem, this.body);
  }

  /** The title, a sentence about it, and the way back as [text, address] pairs. */
  head(title, about = "", crumbs = []) {
    put(this._heading, title);
    put(this._about, about);
    this._about.hidden = !about;
    this._crumbs.hidden = !crumbs.length;
    put(this._crumbs, ...crumbs.flatMap(([text, where], n) => [n ? " / " : "", h("a", { href: where }, text)]));
    document.title = `${title} · congress_dse`;
  }

  /** Be told of a topic of the engine until the view ends; what goes wrong is shown. */
  watch(name, told) {
    const tell = (data, at) => {
      this._wrong(name, null, this.judges ? [] : unheard(data.asked));
      put(this._asof, `as of ${clock(at)}`);
      told(data);
    };
    const watching = topic(name, tell, (error) => this._wrong(name, error));
    this._ends.push(() => watching.stop());
    return watching;
  }

  /** `call` when the view ends. */
  ends(call) {
    this._ends.push(call);
  }

  end() {
    for (const call of this._ends) call();
    this._ends = [];
  }

  /** Say above the view what could not be read, and who was not heard. */
  _wrong(name, error, missing = []) {
    this._said ??= new Map();
    if (error && [0, 401].includes(error.status)) return; // the banner, or the dialog, says it
    this._said.set(name, error ? [[name, `${TITLES[name] ?? name}: ${explained(error)}`]] : missing);
    const lines = new Map([...this._said.values()].flat().map(([key, ...line]) => [key, line]));
    this._problem.hidden = !lines.size;
    const text = [...lines.values()].join("\n");
    if (this._text === text) return;
    this._text = text;
    put(this._problem, h("ul", { class: "inside" }, [...lines.values()].map(([line, href]) =>
      h("li", { class: "wrong" }, shape("warn"), h("span", null, line, ...(href ? [" ", h("a", { href }, "Its stack")] : []))))));
  }
}

const TITLES = { letters: "dead letters", catalogue: "the configured sources" };

/** Who did not answer, or answered beside a blocked hub: their part is missing, or does not move. */
function unheard(asked = []) {
  return asked.flatMap((one) => {
    const name = place(one);
    if (!one.answered) return [[name, `${name} does not answer at present: what it has is missing here.`]];
    return one.blocked_s ? [[name, `The hub of ${name} is blocked for ${span(Math.ceil(one.blocked_s))}: none of its services runs.`, link("waits", one.worker)]] : [];
  });
}

/** An error of the API in a sentence. */
export function explained(error) {
  if (error.status === 403) return `${error.message}. The token that you signed in with may only read.`;
  if (error.status === 404) return `${error.message} (HTTP 404). The engine does not have it, or not yet.`;
  if (error.status === 0) return `${error.message}.`;
  return `${error.message} (HTTP ${error.status})`;
}

/** A panel with a heading, and what is in it. */
export function panel(title, { aside = null, inside = true } = {}, ...children) {
  return h("section", { class: "panel", "aria-label": title },
    h("header", null, h("h2", null, title), aside), inside ? h("div", { class: "inside" }, children) : children);
}

/** Ask before what cannot be undone; resolves to whether it is to be done. */
export function confirmed(title, text, yes) {
  const dialog = document.getElementById("confirm");
  put(document.getElementById("confirm-title"), title);
  put(document.getElementById("confirm-text"), ...[text].flat().map((each) => h("p", null, each)));
  put(document.getElementById("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

/** Tell the user how something went. */
export function note(text, kind = "") {
  const told = h("div", { class: `note ${kind}` }, text);
  document.getElementById("notes").append(told);
  setTimeout(() => told.remove(), kind === "bad" ? 12000 : 6000);
}

/** A button that has something done: it waits, and tells how it went. */
export function doing(text, action, { small = false, label = null } = {}) {
  const button = h("button", { type: "button", class: small ? "small" : null, "aria-label": label }, text);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const told = await action();
      if (told) note(told);
    } catch (error) {
      note(error.status === undefined ? String(error) : explained(error), "bad");
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** The address of a view: link("tables", "host", "processes") is "#/tables/host/processes". */
export const link = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

/** A link to a view, for a cell of a grid. */
export const to = (text, ...parts) => h("a", { href: link(...parts) }, text);
