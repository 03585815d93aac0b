// What the page Audit asks the console for; the console itself asks the server whether this browser may see it.
import { ask, CallError } from "/static/http.js";
import { token } from "/static/token.js";

/** Why the log is not shown: reason "no_log", "token_wanted", "no_right", "server_away", "unreadable", "unfit", ... */
export class LogError extends Error {
  constructor(document, status) {
    super(document.message || `the console answered ${status}`);
    this.reason = document.reason ?? "";
  }
}

async function askLog(address, { signal, body } = {}) {
  const headers = token() ? { authorization: `Bearer ${token()}` } : {};
  if (body) headers["content-type"] = "application/json";
  const asked = ask(address, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  const { response, document } = await asked.catch((error) => { throw error instanceof CallError ? new LogError({ message: error.message }, 0) : error; });
  if (!response.ok || document.reason === "no_log") throw new LogError(document, response.status);
  return document;
}

/**
 * Records that fit, the newest first, as the search gets on: each step has the records that it found, `next` (null at the
 * end of the search), bad, torn, oldest, searched and size in bytes. It goes on until `most` were found or nobody reads.
 */
export async function* search(wanted, { most = 50, from = null, signal } = {}) {
  let place = from;
  for (let found = 0; found < most;) {
    const asked = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== "" && value != null));
    asked.set("size", String(most - found));
    if (place) { asked.set("before", String(place.before)); asked.set("log", place.log); }
    const step = await askLog(`/audit/records?${asked}`, { signal });
    yield step;
    if (step.next === null) return;
    found += step.records.length;
    place = { before: step.next, log: step.log };
  }
}

/** One record in full: {summary, fields, changed, wanted: {input, baseline}, unfit}. */
export const record = (log, at, { signal } = {}) => askLog(`/audit/record?${new URLSearchParams({ log, at: String(at) })}`, { signal });

/** Ask the server for a record's explanation again: {verdict, what, repeated, largestDifference, answer}. */
export const replay = (log, at, given, { signal } = {}) => askLog("/audit/replay", { signal, body: { log, at, ...given } });
