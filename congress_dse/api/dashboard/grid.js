// A grid: a table of any length that has only the rows in sight in the document.
//
// All rows are of one height, so two rows of space stand for those that are not there. A column is
// {id, title, about, value(row), show(row), number, width, slim, wide, sort}: `value` is sorted by and
// filtered, `show` gives text or an element (the value as text without it), `width` is in characters,
// on a narrow screen `slim` is the width, and a `wide` column is left out, `sort: false` takes the button from its heading.

import { h, id, put } from "./dom.js";
import { cell, count, several } from "./format.js";
import { Rows } from "./rows.js";

const OVERSCAN = 6; // rows above and below those in sight
const FRESH_MS = 2500; // for which a change is marked
const LONGEST = 44; // characters of a column
const PADDING = 3; // characters beside the text of a cell
const CHARACTER_PX = 7.4;

const narrow = matchMedia("(max-width: 640px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Grid {
  constructor({ caption, columns, key = (row) => row.name, sort = null, empty = null, noun = "row", nouns = `${noun}s`, filter = true, mark = false }) {
    Object.assign(this, { columns, key, noun, nouns, mark, _empty: empty, _shown: new Map(), _first: -1 });
    const byId = new Map(columns.map((column) => [column.id, column]));
    this.rows = new Rows({
      value: (row, name) => byId.get(name).value(row),
      text: (row) => columns.map((column) => cell(column.value(row) ?? "")).join(" "),
    });
    this._build(caption, filter);
    if (sort) this._sorted(sort.column, Boolean(sort.down));
    this._watch();
  }

  /** Take these rows in place of all. */
  set(rows) {
    this.rows.replace(rows.map((row) => [String(this.key(row)), row]));
    this._refresh();
  }

  /** Take rows away and add others; returns the counts of added, changed and removed ones. */
  change(removed, added) {
    const pairs = added.map((row) => [String(this.key(row)), row]);
    const counts = this.rows.apply(removed.map((row) => String(this.key(row))), pairs, performance.now());
    this._refresh();
    return counts;
  }

  /** Let go of what watches the page. */
  dispose() {
    this._resize.disconnect();
    narrow.removeEventListener("change", this._onNarrow);
  }

  _build(caption, filter) {
    const name = id("grid");
    this._count = h("span", { class: "grid-count" });
    this._told = h("span", { class: "unseen", role: "status" });
    this._filter = h("input", { type: "search", id: `${name}-filter`, placeholder: "Filter", autocomplete: "off", spellcheck: "false" });
    this._filter.addEventListener("input", () => this._filtered());
    this.tools = h("div", { class: "grid-tools" },
      filter ? h("label", { class: "unseen", for: `${name}-filter` }, `Filter ${caption}`) : null,
      filter ? this._filter : null, this._count, this._told);
    this._head = h("tr", { "aria-rowindex": 1 });
    this._heads = new Map(this.columns.map((column) => [column.id, this._heading(column)]));
    this._head.append(...this._heads.values());
    this._top = h("tr", { class: "space", "aria-hidden": "true" });
    this._bottom = h("tr", { class: "space", "aria-hidden": "true" });
    this._body = h("tbody", null, this._top, this._bottom);
    this._table = h("table", { class: "grid" },
      h("caption", { class: "unseen", id: name }, caption), h("thead", null, this._head), this._body);
    this._scroller = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-labelledby": name }, this._table);
    this._blank = h("div", { class: "grid-blank", hidden: true });
    this.element = h("div", { class: "grid-box" }, this.tools, this._scroller, this._blank);
  }

  _heading(column) {
    const classes = [column.number ? "number" : "", column.wide ? "wide" : ""].join(" ").trim();
    const inside = column.sort === false ? h("span", null, column.title)
      : h("button", { type: "button", onclick: () => this._turn(column) }, h("span", { class: "arrow", "aria-hidden": "true" }), column.title);
    return h("th", { scope: "col", class: classes || null, title: column.about }, inside);
  }

  _watch() {
    let asked = false;
    this._scroller.addEventListener("scroll", () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => (asked = false, this._draw()));
    }, { passive: true });
    this._resize = new ResizeObserver(() => this._draw());
    this._resize.observe(this._scroller);
    this._onNarrow = () => this._layout();
    narrow.addEventListener("change", this._onNarrow);
  }

  _turn(column) {
    const same = this.rows.column === column.id;
    this._sorted(column.id, same ? !this.rows.down : Boolean(column.number));
    this._scroller.scrollTop = 0;
    this._refresh();
  }

  _sorted(name, down) {
    this.rows.sort(name, down);
    for (const [each, head] of this._heads) {
      if (each === name) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  _filtered() {
    this.rows.filter(this._filter.value);
    this._scroller.scrollTop = 0;
    this._refresh();
    clearTimeout(this._telling);
    this._telling = setTimeout(() => put(this._told, `${several(this.rows.view.length, this.noun, this.nouns)} shown`), 600);
  }

  _refresh() {
    const [shown, all] = [this.rows.view.length, this.rows.size];
    put(this._count, shown === all ? several(all, this.noun, this.nouns) : `${count(shown)} of ${several(all, this.noun, this.nouns)}`);
    this._table.setAttribute("aria-rowcount", shown + 1);
    this._scroller.hidden = !shown;
    this._filter.hidden = !all;
    this._blank.hidden = Boolean(shown);
    if (!shown) put(this._blank, all ? `No ${this.noun} matches “${this._filter.value}”.` : this._empty ?? `No ${this.noun}.`);
    if (!this._laid || all > 2 * this._laid) this._layout();
    this._first = -1;
    this._draw();
  }

  /** The widths of the columns, from the text of the first rows, and that of the whole. */
  _layout() {
    const some = this.rows.view.slice(0, 200);
    let sum = 0;
    for (const column of this.columns) {
      const head = this._heads.get(column.id);
      const longest = column.width ? 0 : some.reduce((most, { row }) => Math.max(most, cell(column.value(row) ?? "").length), 0);
      const width = (narrow.matches && column.slim) || column.width || Math.min(LONGEST, Math.max(longest, column.title.length + 2) + PADDING);
      head.style.width = column.grow ? "auto" : `${Math.round(width * CHARACTER_PX)}px`;
      if (!(narrow.matches && column.wide)) sum += width;
    }
    this._table.style.minWidth = `${Math.round(sum * CHARACTER_PX)}px`;
    this._laid = this.rows.size;
  }

  /** Have the rows in sight in the document. */
  _draw() {
    const view = this.rows.view;
    const height = this._rowHeight();
    const box = this._scroller;
    const first = Math.max(0, Math.floor(box.scrollTop / height) - OVERSCAN);
    const fit = Math.ceil((box.clientHeight || 600) / height) + 2 * OVERSCAN;
    const last = Math.min(view.length, first + fit);
    if (first === this._first && last === this._last) return;
    [this._first, this._last] = [first, last];
    const shown = new Map();
    let before = this._top;
    for (let n = first; n < last; n += 1) {
      const record = view[n];
      const row = this._shown.get(record.key) ?? this._made();
      this._fill(row, record, n);
      shown.set(record.key, row);
      if (before.nextSibling !== row.element) before.after(row.element);
      before = row.element;
    }
    for (const [key, row] of this._shown) if (!shown.has(key)) row.element.remove();
    this._shown = shown;
    this._top.style.height = `${first * height}px`;
    this._bottom.style.height = `${(view.length - last) * height}px`;
  }

  _rowHeight() {
    this._height ||= Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")) || 30;
    return this._height;
  }

  _made() {
    const cells = this.columns.map((column, n) => {
      const classes = [column.number ? "number" : "", column.wide ? "wide" : ""].join(" ").trim();
      return n ? h("td", { class: classes || null }) : h("th", { scope: "row", class: classes || null });
    });
    return { element: h("tr", null, cells), cells, record: null, at: 0 };
  }

  _fill(row, record, n) {
    row.element.setAttribute("aria-rowindex", n + 2);
    if (row.record === record && !this.always) return;
    this.columns.forEach((column, at) => this._show(row.cells[at], column, record.row));
    row.record = record;
    if (this.mark && record.at && record.at !== row.at) this._flash(row, record);
    row.at = record.at;
  }

  _show(place, column, row) {
    const shown = column.show ? column.show(row) : cell(column.value(row));
    if (!(shown instanceof Node)) {
      const text = String(shown ?? "");
      put(place, text);
      if (text.length > 20) place.title = text;
      else place.removeAttribute("title");
      return;
    }
    const old = place.firstChild;
    if (place.childNodes.length !== 1 || !old.isEqualNode(shown)) place.replaceChildren(shown);
  }

  /** Mark what has just changed: the cells that differ, or the whole of a row that is new. */
  _flash(row, record) {
    const age = performance.now() - record.at;
    if (age > FRESH_MS) return;
    row.element.classList.add(record.cells ? "changed" : "added");
    clearTimeout(row.timer);
    row.timer = setTimeout(() => row.element.classList.remove("changed", "added"), FRESH_MS - age);
    const cells = record.cells ? record.cells.map((n) => row.cells[n]) : row.cells;
    for (const each of cells) {
      const frames = { backgroundColor: ["var(--flash)", still.matches ? "var(--flash)" : "transparent"] };
      each?.animate(frames, { duration: FRESH_MS, easing: "ease-in" }).updatePlaybackRate(1);
    }
  }
}
