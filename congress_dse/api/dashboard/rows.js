// Rows in an order and under a filter: the model behind a grid.
//
// A record is {key, row, text, at, cells}: its identity, what is shown, the text that a filter looks
// at (made when first asked for), and when it changed last, in which cells (null: all of them).
// Changes are merged into the order that is there: their cost is that of looking at each row once.

const COLLATE = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

const MANY = 20000; // rows; from here on text is compared by its code points, which is ten times as fast

/** The order of two cells: numbers before text, nothing last; text as people count, unless `plain`. */
export function compare(a, b, plain = false) {
  if (a === b) return 0;
  const none = (a === null || a === undefined ? 1 : 0) - (b === null || b === undefined ? 1 : 0);
  if (none || a === null || a === undefined) return none;
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  if (plain) return String(a) < String(b) ? -1 : 1;
  return COLLATE.compare(String(a), String(b));
}

export class Rows {
  /** `value(row, column)` is what a column sorts by; `text(row)` what the filter looks at. */
  constructor({ value = (row, column) => row[column], text = (row) => row.join(" ") } = {}) {
    this.records = new Map();
    this.view = [];
    this.column = null;
    this.down = false;
    this.words = [];
    this._value = value;
    this._text = text;
  }

  get size() {
    return this.records.size;
  }

  /** Take these rows, given as [key, row] pairs, in place of all. */
  replace(pairs, now = 0) {
    const records = new Map();
    let serial = 0;
    for (const [key, row] of pairs) {
      const known = this.records.get(key);
      records.set(key, { key, row, text: null, at: known ? known.at : now, cells: known ? known.cells : null, serial: serial++ });
    }
    this.records = records;
    this._serial = serial;
    this._rebuild();
  }

  /** Take rows away and add others; returns [added, changed, removed], the counts. */
  apply(removed, added, now) {
    const gone = new Set();
    for (const key of removed) {
      const record = this.records.get(key);
      if (record) {
        gone.add(record);
        this.records.delete(key);
      }
    }
    const [fresh, changed] = this._fresh(added, gone, now);
    for (const record of fresh) this.records.set(record.key, record);
    const stay = gone.size ? this.view.filter((record) => !gone.has(record)) : this.view;
    this.view = merged(stay, fresh.filter((record) => this._passes(record)).sort(this._order()), this._order());
    return [fresh.length - changed, changed, gone.size - changed];
  }

  sort(column, down) {
    this.column = column;
    this.down = down;
    this._rebuild();
  }

  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this._rebuild();
  }

  /** The records of added rows; one that takes the place of a removed row knows which cells differ. */
  _fresh(added, gone, now) {
    const before = new Map();
    for (const record of gone) {
      const name = record.row[0];
      before.set(name, before.has(name) ? null : record); // null: the name is not of one row alone
    }
    let changed = 0;
    const fresh = added.map(([key, row]) => {
      const old = before.get(row[0]) ?? null;
      before.set(row[0], null);
      if (old) changed += 1;
      const cells = old ? row.map((value, n) => (value === old.row[n] ? -1 : n)).filter((n) => n >= 0) : null;
      return { key, row, text: null, at: now, cells, serial: old ? old.serial : (this._serial = (this._serial ?? 0) + 1) };
    });
    return [fresh, changed];
  }

  _passes(record) {
    if (!this.words.length) return true;
    record.text ??= this._text(record.row).toLowerCase();
    return this.words.every((word) => record.text.includes(word));
  }

  _order() {
    const { column, _value: value } = this;
    const sign = this.down ? -1 : 1;
    if (column === null) return (a, b) => a.serial - b.serial;
    const plain = this.records.size > MANY;
    return (a, b) => {
      const x = value(a.row, column);
      const y = value(b.row, column);
      if (x === null || x === undefined || y === null || y === undefined) return compare(x, y) || a.serial - b.serial;
      return sign * compare(x, y, plain) || a.serial - b.serial;
    };
  }

  _rebuild() {
    const passing = [...this.records.values()].filter((record) => this._passes(record));
    this.view = this.column === null ? passing.sort((a, b) => a.serial - b.serial) : passing.sort(this._order());
  }
}

/** Two lists in order as one. */
function merged(left, right, order) {
  if (!right.length) return left;
  const found = new Array(left.length + right.length);
  let [l, r] = [0, 0];
  for (let n = 0; n < found.length; n += 1) {
    if (r >= right.length || (l < left.length && order(left[l], right[r]) <= 0)) found[n] = left[l++];
    else found[n] = right[r++];
  }
  return found;
}
