// Is my engine well? What is not, why, and where to look: judged from what every node says.

import { count, several, span } from "./format.js";
import { link } from "./ui.js";

export const LIMITS = { oldest_s: 5, in_hand_s: 10, full: 0.8, lag_s: 5, end_s: 600 };

const RANK = { bad: 0, warn: 1 };

/** A problem: how bad, what has it, why, and the view that shows it. */
const problem = (kind, what, why, ...where) => ({ kind, what, why, href: link(...where) });

function ofNodes(asked) {
  const found = [];
  for (const node of asked ?? []) {
    const name = node.worker || node.node;
    if (!node.answered) found.push(problem("bad", name, `does not answer${node.cause ? `: ${node.cause}` : ""}`, "workers"));
    else if (node.blocked_s > 0) found.push(problem("bad", name, `its hub is blocked for ${span(node.blocked_s)}: no service in it runs`, "waits", name));
  }
  return found;
}

/** The state of a service: [kind, word, why]. */
export function serviceState(one) {
  if (one.state === "given up") return ["bad", "given up", one.last_error];
  if (one.state === "down") return ["bad", "down", one.last_error];
  if (one.capacity && one.depth >= LIMITS.full * one.capacity) return ["bad", "full", `${count(one.depth)} of ${count(one.capacity)} messages wait`];
  if (one.oldest_s > LIMITS.oldest_s) return ["warn", "behind", `its oldest message waits for ${span(one.oldest_s)}, ${several(one.depth, "message")} in all`];
  if (one.in_hand_s > LIMITS.in_hand_s) return ["warn", one.state, `has one message in hand for ${span(one.in_hand_s)}`];
  if (one.state === "busy") return ["good", "busy", ""];
  return ["idle", one.state, ""];
}

function ofServices(services) {
  const found = [];
  for (const one of services ?? []) {
    const [kind, word, why] = serviceState(one);
    if (kind === "bad" || kind === "warn") found.push(problem(kind, one.service, `${word}: ${why}`.replace(/: $/, ""), "services", one.service));
  }
  return found;
}

/** The state of a source: [kind, word, why]. */
export function sourceState(one) {
  if (one.state === "disabled") return ["idle", "disabled", ""];
  if (one.state === "absent") return ["warn", "not here", "no node that answers has it: it starts, is another engine's, or could not be made, which the log tells"];
  const cause = one.stale[0]?.cause || one.last_error;
  if (one.state === "down") return ["bad", "failing", cause];
  if (one.state === "stale") return ["warn", "stale", cause];
  if (one.state === "starting") return ["idle", "starting", cause];
  return ["good", "fresh", ""];
}

function ofSources(sources) {
  const found = [];
  for (const one of sources ?? []) {
    const [kind, word, why] = sourceState(one);
    if (kind !== "bad" && kind !== "warn") continue;
    const age = Math.max(0, ...(one.stale ?? []).map((each) => each.age_s));
    const since = age ? ` for ${span(age)}` : "";
    found.push(problem(kind, one.source, `${word}${since}${why ? `: ${why}` : ""}`, "sources", one.source));
  }
  return found;
}

/** Why a worker ended: the reason, and the last line of its cause. */
export function endWhy(end) {
  const cause = (end.cause ?? "").trim().split("\n").at(-1);
  return [end.why, cause && cause !== end.why ? cause : ""].filter(Boolean).join(": ") || `exit code ${end.exit_code}`;
}

function ofWorkers(workers) {
  const found = [];
  for (const [name, crew] of Object.entries(workers?.master?.services ?? {})) {
    if (crew.ready < crew.wanted) found.push(problem("bad", name, `${crew.ready} of ${several(crew.wanted, "worker")} ready`, "workers"));
  }
  for (const one of workers?.results ?? []) {
    const late = (one.ends ?? []).filter((end) => end.ended_s_ago < LIMITS.end_s && !end.asked);
    if (late.length) found.push(problem("warn", one.name, `replaced ${late.length === 1 ? "once" : `${late.length} times`} in the last 10 min: ${endWhy(late.reduce((a, b) => (b.ended_s_ago < a.ended_s_ago ? b : a)))}`, "workers"));
  }
  const reload = workers?.master?.reload;
  if (reload?.state === "failed") found.push(problem("warn", "reload", `the last one failed, the old configuration serves on: ${reload.cause}`, "workers"));
  if (workers?.master?.parked?.length) found.push(problem("warn", "parked", `${several(workers.master.parked.length, "piece")} of work ended workers three times`, "workers"));
  return found;
}

function ofTables(tables) {
  const found = [];
  for (const one of tables ?? []) {
    const slow = one.subscribers.filter((each) => each.lag > 0 && each.lag_s > LIMITS.lag_s);
    for (const each of slow) found.push(problem("warn", `${one.service}:${one.table}`, `${each.subscriber} is ${several(each.lag, "version")} and ${span(each.lag_s)} behind`, "tables", one.service, one.table));
  }
  return found;
}

function ofWaits(waits) {
  return (waits?.circles ?? []).map((ring) => problem("bad", "circle", `${[...ring, ring[0]].join(" waits for ")}`, "waits"));
}

function ofLetters(letters) {
  const total = letters?.total ?? 0;
  if (!total) return [];
  return [problem("warn", "dead letters", `${several(total, "message")} ${total === 1 ? "was" : "were"} not handled, the last one ${span(letters.results[0].age_s)} ago: ${letters.results[0].reason}`, "letters")];
}

function ofLinks(links) {
  return (links?.results ?? []).filter((one) => linkState(one)[0] === "bad")
    .map((one) => problem("bad", one.link, `${one.state} for ${span(one.since_s)}${one.error ? `: ${one.error}` : ""}`, "links"));
}

/** The state of a link: [kind, word]. A local one may be alone: the process behind it is not there yet. */
export function linkState(one) {
  if (one.state === "up" || one.state === "ready") return ["good", one.state];
  return [one.state === "connecting" && one.since_s < LIMITS.oldest_s ? "idle" : "bad", one.state];
}

/** What the engine itself says it lacks, as far as nothing above has said it. */
function ofReadiness(ready, found) {
  const said = new Set(found.map((one) => one.what));
  const told = (kind) => (one) => problem(kind, one.subject, one.text, "workers");
  return [...(ready?.reasons ?? []).map(told("bad")), ...(ready?.warnings ?? []).map(told("warn"))].filter((one) => !said.has(one.what));
}

/** All problems of what is known, the worst first. */
export function problems(known) {
  const found = [
    ...ofNodes(known.services?.asked),
    ...ofWorkers(known.workers),
    ...ofWaits(known.waits),
    ...ofSources(known.everySource ?? known.sources?.results),
    ...ofServices(known.services?.results),
    ...ofLinks(known.links),
    ...ofTables(known.tables?.results),
    ...ofLetters(known.letters),
  ];
  found.push(...ofReadiness(known.ready, found));
  return found.sort((a, b) => RANK[a.kind] - RANK[b.kind]);
}

const worst = (list) => (list.some((each) => each.kind === "bad") ? "bad" : list.length ? "warn" : "");

/** Keep the marks beside the sections; `show(section, kind, text, about)`. */
export function badges(topic, show) {
  const tell = (section, list, one) => show(section, worst(list), list.length ? count(list.length) : "", list.length ? several(list.length, one) : "");
  topic("services", (data) => tell("services", ofServices(data.results), "problem"));
  topic("sources", (data) => tell("sources", ofSources(data.results), "problem"));
  topic("waits", (data) => tell("waits", ofWaits(data), "circle"));
  topic("workers", (data) => tell("workers", ofWorkers(data), "problem"));
  topic("letters", (data) => show("letters", data.total ? "warn" : "", data.total ? count(data.total) : "", data.total ? several(data.total, "dead letter") : ""));
}
