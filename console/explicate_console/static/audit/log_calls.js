// What the page Audit asks the console for; the console itself asks the server whether this browser may see it.
import { token } from "/static/token.js";

/** Why the log is not shown: reason "no_log", "token_wanted", "no_right", "server_away", "unreadable", "unfit", ... */
export class LogError extends Error {
  constructor(document, status) {
    super(document.message || `the console answered ${status}`);
    this.reason = document.reason ?? "";
  }
}

async function ask(address, { signal, body } = {}) {
  const headers = token() ? { authorization: `Bearer ${token()}` } : {};
  if (body) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(address, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new LogError({ reason: "console_away", message: "The console cannot be reached; is it still running?" }, 0);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok || answer.reason === "no_log") throw new LogError(answer, response.status);
  return answer;
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
    const step = await ask(`/audit/records?${asked}`, { signal });
    yield step;
    if (step.next === null) return;
    found += step.records.length;
    place = { before: step.next, log: step.log };
  }
}

/** One record in full: {summary, fields, changed, wanted: {input, baseline}, unfit}. */
export const record = (log, at, { signal } = {}) => ask(`/audit/record?${new URLSearchParams({ log, at: String(at) })}`, { signal });

/** Ask the server for a record's explanation again: {verdict, what, repeated, largestDifference, answer}. */
export const replay = (log, at, given, { signal } = {}) => ask("/audit/replay", { signal, body: { log, at, ...given } });
