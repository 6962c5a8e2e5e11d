// The frame: which view the address names, the sections, the line to the server, the theme, the token.

import { line, onLine, onTokenWanted, token } from "./api.js";
import { h, put, shape } from "./dom.js";
import { again, topic } from "./engine.js";
import { clock } from "./format.js";
import { Page, link } from "./ui.js";
import { overview } from "./overview.js";
import { service, services } from "./services.js";
import { source, sources } from "./sources.js";
import { table, tables } from "./tables.js";
import { letters } from "./letters.js";
import { links, tree, workers } from "./processes.js";
import { timeline } from "./timeline.js";
import { waits } from "./waits.js";
import { badges } from "./health.js";

// [name, title, view of the section, view of one thing in it, how many parts name that]
const SECTIONS = [
  ["overview", "Overview", overview],
  ["services", "Services", services, service, 1],
  ["sources", "Sources", sources, source, 1],
  ["tables", "Tables", tables, table, 2],
  ["tree", "Supervision", tree],
  ["workers", "Workers", workers],
  ["links", "Links", links],
  ["letters", "Dead letters", letters],
  ["waits", "Waits", waits],
  ["timeline", "Timeline", timeline],
];
const GROUPS = [["", ["overview"]], ["Flow", ["services", "sources", "tables"]], ["Structure", ["tree", "workers", "links"]], ["Trouble", ["letters", "waits", "timeline"]]];

const byId = (name) => document.getElementById(name);
const main = byId("main");
const items = new Map();
let page = null;

function buildNav() {
  const nav = byId("nav");
  for (const [title, names] of GROUPS) {
    const list = h("ul");
    for (const name of names) {
      const [, text] = SECTIONS.find(([each]) => each === name);
      const badge = h("span", { class: "badge" });
      const item = h("a", { href: link(name) }, h("span", null, text), badge);
      items.set(name, { item, badge });
      list.append(h("li", null, item));
    }
    if (title) nav.append(h("h2", null, title));
    nav.append(list);
  }
  nav.addEventListener("click", (event) => event.target.closest("a") && openMenu(false));
}

function openMenu(open) {
  document.querySelector(".rail").classList.toggle("open", open);
  byId("menu").setAttribute("aria-expanded", String(open));
}

/** Show the view that the address names; `focus` goes to it unless the page has just begun. */
function show(focus) {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decoded);
  const name = parts.shift() ?? "overview";
  const found = SECTIONS.find(([each]) => each === name);
  page?.end();
  page = new Page(main);
  for (const [each, { item }] of items) {
    if (each === name) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  if (!found) {
    page.head("No such page", "The sections are in the menu.");
  } else if (found[3] && parts.length >= found[4]) {
    found[3](page, ...parts);
  } else {
    found[2](page, ...parts);
  }
  if (focus) main.focus({ preventScroll: true });
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// The line to the server.

function showLine() {
  const banner = byId("banner");
  document.body.classList.toggle("stale-page", !line.up);
  clearTimeout(showLine.timer);
  if (line.up) {
    if (banner.hidden) return;
    banner.classList.add("back");
    put(banner, shape("good"), h("strong", null, "Connection is back."));
    showLine.timer = setTimeout(() => (banner.hidden = true), 4000);
    again();
    return;
  }
  banner.classList.remove("back");
  const state = line.heard ? `Showing the state of ${clock(line.heard)}` : "Nothing was read yet";
  put(banner, shape("bad"), h("strong", null, "Connection lost."), h("span", null, `${state}: ${line.why}. It is tried again by itself.`),
    h("button", { type: "button", class: "small", onclick: again }, "Try now"));
  banner.hidden = false;
}

// The token.

function askToken(error, given) {
  const dialog = byId("sign-in");
  if (dialog.open) return;
  put(byId("sign-in-why"), given ? `The token was refused: ${error.message}` : "This API asks for a token.");
  byId("token").value = "";
  dialog.showModal();
  byId("token").focus();
}

function signIn() {
  const given = byId("token").value.trim();
  if (!given) return;
  token.set(given);
  byId("token").value = "";
  byId("sign-out").hidden = false;
  again();
  show(true);
}

function signOut() {
  token.forget();
  location.reload();
}

// The theme.

const THEME = "congress-dse-theme";

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem(THEME, theme);
}

function begin() {
  const theme = localStorage.getItem(THEME) ?? "auto";
  setTheme(theme);
  byId("theme").value = theme;
  byId("theme").addEventListener("change", (event) => setTheme(event.target.value));
  byId("menu").addEventListener("click", () => openMenu(byId("menu").getAttribute("aria-expanded") !== "true"));
  byId("sign-out").hidden = !token.get();
  byId("sign-out").addEventListener("click", signOut);
  byId("sign-in").addEventListener("close", signIn);
  document.querySelector(".skip").addEventListener("click", (event) => (event.preventDefault(), main.focus()));
  buildNav();
  onLine(showLine);
  onTokenWanted(askToken);
  addEventListener("hashchange", () => show(true));
  show(false);
  badges(topic, (name, kind, text, about) => {
    const { item, badge } = items.get(name);
    badge.className = `badge ${kind}`;
    put(badge, ...(kind ? [shape(kind), text, h("span", { class: "unseen" }, ` ${about}`)] : [text]));
    item.title = about;
  });
}

begin();
