// Elements: made from a tag, its properties and its children; text is never parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element, as h("p", {class: "note"}, "text", child). A property `onclick` is a listener. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Put `children` in place of what `element` has, unless it has that already. */
export function put(element, ...children) {
  const text = children.length === 1 && typeof children[0] === "string" ? children[0] : null;
  if (text !== null) {
    if (element.textContent !== text || element.firstElementChild) element.textContent = text;
    return element;
  }
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let numbered = 0;

/** An id that no other element has. */
export function id(prefix) {
  numbered += 1;
  return `${prefix}-${numbered}`;
}

const SHAPES = {
  good: ["circle", { cx: 6, cy: 6, r: 4 }],
  warn: ["path", { d: "M6 1.5 11 10.5H1Z" }],
  bad: ["path", { d: "M6 .8 11.2 6 6 11.2 .8 6Z" }],
  idle: ["circle", { cx: 6, cy: 6, r: 3.2, class: "hollow" }],
};

/** A state: a shape and a word, in a colour; none of the three alone. Kinds: good warn bad idle. */
export function mark(kind, word, about) {
  const [tag, properties] = SHAPES[kind] ?? SHAPES.idle;
  const shape = s("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, s(tag, properties));
  return h("span", { class: `mark ${kind}`, title: about }, shape, h("span", null, word));
}

/** The shape of a state alone, where its word stands beside it. */
export function shape(kind) {
  const [tag, properties] = SHAPES[kind] ?? SHAPES.idle;
  return s("svg", { class: `shape ${kind}`, viewBox: "0 0 12 12", "aria-hidden": "true" }, s(tag, properties));
}

/** A list of terms and what stands for them; pairs without a value are left out. */
export function facts(pairs) {
  const list = h("dl", { class: "facts" });
  for (const [term, value, about] of pairs) {
    if (value === undefined || value === null || value === "") continue;
    list.append(h("div", { title: about }, h("dt", null, term), h("dd", null, value)));
  }
  return list;
}

/** What is said where there is nothing to show, and what to do about it. */
export function empty(title, ...what) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), what.length ? h("p", null, ...what) : null);
}
