// What is read of the engine, topic by topic: each is asked for once, however many views show it.
//
// A view that begins gets what was read last at once. What is measured over time is kept here, from
// the moment on that the page was opened.

import { poll } from "./api.js";
import { History } from "./chart.js";

// The address of each topic, the seconds between two reads of it, and a further status of an answer.
const TOPICS = {
  ready: ["readyz", 3, 503],
  services: ["v1/engine/services", 2],
  sources: ["v1/engine/sources", 2],
  catalogue: ["v1/data-sources", 10],
  tables: ["v1/engine/tables", 2],
  subscriptions: ["v1/engine/subscriptions", 3],
  tree: ["v1/engine/tree", 3],
  workers: ["v1/engine/workers", 2],
  nodes: ["v1/engine/nodes", 3],
  links: ["v1/engine/links", 3],
  letters: ["v1/engine/dead-letters", 3],
  waits: ["v1/engine/waits", 2],
  timeline: ["v1/engine/timeline", 3],
};
const LINGER_MS = 5000; // a topic that nobody shows any more is let go after this

const open = new Map();
const hosts = new Set();
/** Depth (`depth:NAME`) and messages per second (`rate:NAME`) of services; of all: `depth`, `rate`. */
export const history = new History();

class Topic {
  constructor(name) {
    this.watching = new Set();
    this.last = null;
    this.error = null;
    const [where, every, also] = TOPICS[name];
    this.poll = poll(where, every, (data) => this._told(name, data), (error) => this._failed(error), also);
  }

  _told(name, data) {
    this.last = data;
    this.error = null;
    this.at = new Date();
    for (const { node } of data.asked ?? []) hosts.add(hostOf(node));
    if (name === "services") measure(data.results);
    for (const { told } of [...this.watching]) told(data, this.at);
  }

  _failed(error) {
    this.error = error;
    for (const { failed } of [...this.watching]) failed?.(error);
  }
}

/** Be told of a topic now and whenever it was read again. Returns an object with `stop` and `now`. */
export function topic(name, told, failed) {
  let found = open.get(name);
  if (!found) open.set(name, (found = new Topic(name)));
  clearTimeout(found.letGo);
  const entry = { told, failed };
  found.watching.add(entry);
  if (found.last) queueMicrotask(() => found.watching.has(entry) && told(found.last, found.at));
  if (found.error) queueMicrotask(() => found.watching.has(entry) && failed?.(found.error));
  return {
    now: () => found.poll.now(),
    stop: () => {
      found.watching.delete(entry);
      if (found.watching.size) return;
      found.letGo = setTimeout(() => {
        found.poll.stop();
        if (open.get(name) === found) open.delete(name);
      }, LINGER_MS);
    },
  };
}

/** Ask for everything again, now. */
export function again() {
  for (const each of open.values()) each.poll.now();
}

/** The host in the name of a node. */
export const hostOf = (node) => node.slice(node.indexOf("@") + 1);

/** What says something: its worker, and the host where there are several. */
export function place(one) {
  if (!one.worker) return one.node ?? "";
  return hosts.size > 1 ? `${one.worker} on ${hostOf(one.node)}` : one.worker;
}

/** The name that a service has among those of all nodes. */
export const named = (service) => `${service.node}~${service.service}`;

function measure(services) {
  const now = performance.now() / 1000;
  let [depth, handled] = [0, 0];
  const names = new Set();
  for (const service of services) {
    const name = named(service);
    names.add(name);
    depth += service.depth;
    handled += service.handled;
    history.add(`depth:${name}`, service.depth);
    history.count(`rate:${name}`, service.handled, now);
  }
  history.add("depth", depth);
  history.count("rate", handled, now);
  history.prune((name) => !name.includes(":") || names.has(name.slice(name.indexOf(":") + 1)));
}
