// The API as the page speaks it: reads, orders and streams, with a token where one is asked for.
//
// It knows when the server was last heard. Whoever listens with `onLine` is told when the line goes
// down, and when it is up again; an answer of any status means that it is up.

const KEY = "congress-dse-token";
const TIMEOUT_MS = 15000;
const BACK_OFF_MS = [500, 1000, 2000, 4000, 8000];
const SILENT_MS = 40000; // a stream has a heartbeat every 15 s

export class ApiError extends Error {
  constructor(status, message, retrySeconds) {
    super(message);
    this.status = status; // 0: not reached
    this.retrySeconds = retrySeconds;
  }
}

const listeners = { line: new Set(), token: new Set() };
export const line = { up: true, heard: null, failed: null, why: "" };

/** `call` is called when the line goes down or comes up, until what this answers is called. */
export function onLine(call) {
  listeners.line.add(call);
  return () => listeners.line.delete(call);
}
/** `call` is called when the API asks for a token, or for another one. */
export const onTokenWanted = (call) => listeners.token.add(call);

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

function heard() {
  const was = line.up;
  Object.assign(line, { up: true, heard: new Date(), failed: null, why: "" });
  if (!was) for (const call of listeners.line) call(line);
}

function unheard(why) {
  const was = line.up;
  Object.assign(line, { up: false, why, failed: line.failed ?? new Date() });
  if (was) for (const call of listeners.line) call(line);
}

/** The address of a path of the API, such as "v1/data-sources", wherever the page is mounted. */
export const address = (path) => new URL(path, document.baseURI).href;

/** A path of the API made of parts, each of which may have any characters. */
export const path = (...parts) => `v1/${parts.map(encodeURIComponent).join("/")}`;

async function call(method, where, { body, headers = {}, signal, also } = {}) {
  const given = token.get();
  if (given) headers["X-Auth-Token"] = given;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const request = { method, headers, signal, cache: "no-store", credentials: "omit" }; // a 401 is met by our own dialog, not by the browser's
  if (body !== undefined) request.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(address(where), request);
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw error;
    const why = error.name === "TimeoutError" ? `no answer in ${TIMEOUT_MS / 1000} s` : "the server cannot be reached";
    unheard(why);
    throw new ApiError(0, why);
  }
  heard();
  if (!response.ok && response.status !== also) {
    const error = await refusal(response);
    if (error.status === 401) for (const told of listeners.token) told(error, Boolean(given));
    throw error;
  }
  return response;
}

async function refusal(response) {
  let text = `HTTP ${response.status}`;
  try {
    const body = await response.json();
    text = body.error?.message ?? text;
  } catch {
    // no JSON: a proxy's page, most likely
  }
  return new ApiError(response.status, text, Number(response.headers.get("Retry-After")) || null);
}

function limited(signal) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

/** What a GET answers, as JSON, with the status `also` as well; raises ApiError. */
export async function get(where, signal, also) {
  const response = await call("GET", where, { signal: limited(signal), also });
  try {
    return await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(response.status, "the answer was cut off");
  }
}

/** Have something done; what is answered, if anything. */
export async function order(method, where, body) {
  const response = await call(method, where, { body, signal: limited() });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

const sleep = (ms, signal) =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });

/**
 * Ask for `where` again and again, `every` seconds after each answer, while the page is seen.
 * `told` gets what was answered, `failed` an ApiError. Returns an object with `stop` and `now`.
 */
export function poll(where, every, told, failed, also) {
  const end = new AbortController();
  let wake = () => {};
  const pause = (ms) => new Promise((done) => {
    wake = done;
    setTimeout(done, ms);
  });
  const run = async () => {
    for (let failures = 0; !end.signal.aborted; ) {
      if (document.hidden) await seen();
      if (end.signal.aborted) return;
      const began = performance.now();
      try {
        const answer = await get(where, end.signal, also);
        if (end.signal.aborted) return;
        failures = 0;
        told(answer);
      } catch (error) {
        if (end.signal.aborted) return;
        failures += 1;
        if (error instanceof ApiError) failed?.(error);
        else console.error(error);
      }
      const back = failures ? BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length) - 1] : 0;
      const took = performance.now() - began; // a large engine is asked less often
      await pause(Math.max(every * 1000, back, 5 * took));
    }
  };
  run();
  return { stop: () => (end.abort(), wake()), now: () => wake() };
}

/** Resolves when the page is seen. */
function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      done();
    };
    document.addEventListener("visibilitychange", look);
  });
}

/**
 * Follow a stream of server-sent events, also beyond its end, from the last event that came.
 * `told(kind, data)` gets each event, `state(word, error)` how the stream is: "live", "again", "refused".
 */
export function follow(where, told, state) {
  const end = new AbortController();
  const run = async () => {
    let last = "";
    for (let failures = 0; !end.signal.aborted; ) {
      if (document.hidden) await seen();
      if (end.signal.aborted) return;
      try {
        await one(where, last, end.signal, () => (failures = 0, state("live")), (kind, data, mark) => {
          last = mark || last;
          told(kind, data);
        });
        state("again", new ApiError(0, "the stream ended"));
      } catch (error) {
        if (end.signal.aborted) return;
        const known = error instanceof ApiError;
        if (!known) unheard("the stream was cut off");
        const final = known && [400, 401, 403, 404].includes(error.status);
        state(final ? "refused" : "again", error);
      }
      await sleep(BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length - 1)], end.signal);
      failures += 1;
    }
  };
  run();
  return { stop: () => end.abort() };
}

async function one(where, last, signal, opened, told) {
  const silent = new AbortController();
  const ends = AbortSignal.any([signal, silent.signal]);
  const hide = () => document.hidden && silent.abort();
  document.addEventListener("visibilitychange", hide);
  let timer = setTimeout(() => silent.abort(), SILENT_MS);
  try {
    const headers = last ? { "Last-Event-ID": last, Accept: "text/event-stream" } : { Accept: "text/event-stream" };
    const response = await call("GET", where, { headers, signal: ends });
    opened();
    const parse = parser(told);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENT_MS);
      heard();
      parse(value);
    }
  } catch (error) {
    if (silent.signal.aborted && document.hidden) return;
    throw error;
  } finally {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", hide);
  }
}

/** Takes the text of a stream of events as it comes, and tells each event when it is whole. */
export function parser(told) {
  let left = [];
  let event = { kind: "message", data: [], mark: "" };
  const take = (text) => {
    if (text === "") {
      if (event.data.length) told(event.kind, JSON.parse(event.data.join("\n")), event.mark);
      event = { kind: "message", data: [], mark: event.mark };
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event.kind = value;
    else if (field === "data") event.data.push(value);
    else if (field === "id") event.mark = value;
  };
  return (text) => {
    const lines = text.split("\n");
    if (lines.length === 1) {
      left.push(text); // a long line in many pieces is joined once
      return;
    }
    lines[0] = left.join("") + lines[0];
    left = [lines.pop()];
    for (const each of lines) take(each.endsWith("\r") ? each.slice(0, -1) : each);
  };
}
