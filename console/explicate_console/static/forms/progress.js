// How far the work is, and what went wrong, in words; the same height from the first moment to the last.
import { html, useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { MOST_ATTEMPTS } from "/static/forms/explaining.js";
import { count } from "/static/format.js";
import { stopWords } from "/static/stopped.js";

const TICK_MS = 250;
const SLOW_S = 5;
const seconds = (value) => `${value.toFixed(1)} s`;

function useClock(running) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => tick((count) => count + 1), TICK_MS);
    return () => clearInterval(timer);
  }, [running]);
  return performance.now();
}

/** "128 of at most 512 evaluations" of an estimate. */
function evaluationsOf({ answer }) {
  const most = answer?.options?.maxEvaluations;
  return `${count(answer.evaluations ?? 0)}${most ? ` of at most ${count(most)}` : ""} evaluations`;
}

/** The state of a run in a sentence. */
export function progressText(run, now) {
  const took = seconds(((run.endedAt ?? now) - (run.startedAt ?? now)) / 1000);
  const has = run.answer && !run.stale;
  if (run.phase === "idle") return "Nothing was asked yet.";
  if (run.phase === "waiting") {
    return `The server has no room: asking again in ${seconds(Math.max(0, run.askAgainAt - now) / 1000)}, attempt ${run.attempt} of ${MOST_ATTEMPTS}.`;
  }
  const silentS = (now - (run.heardAt ?? now)) / 1000;
  if (run.phase === "running" && has && silentS > SLOW_S) return `Estimate after ${evaluationsOf(run)}; nothing new for ${seconds(silentS)}. The server may be busy.`;
  if (run.phase === "running" && has && run.only === "explain") return `Estimate after ${evaluationsOf(run)}, ${took}. It still moves.`;
  if (run.phase === "running") return Number.parseFloat(took) > SLOW_S ? `No answer yet after ${took}. The server may be busy.` : `Waiting for the first answer, ${took}`;
  if (run.phase === "stopped") return has ? `Stopped by you after ${evaluationsOf(run)}, ${took}. This estimate is not final.` : `Stopped by you after ${took}; no answer had come.`;
  if (run.phase === "failed") return has ? `Broke off after ${evaluationsOf(run)}, ${took}. This estimate is not final.` : `Failed after ${took}.`;
  if (run.only === "predict") return `Predicted in ${took}.`;
  const why = stopWords(run.answer?.stopReason);
  return `Final after ${count(run.answer?.evaluations ?? 0)} evaluations, ${took}${why ? `: ${why}` : ""}.`;
}

const SPOKEN = { running: "Asking the server.", waiting: "The server has no room; asking again soon.", done: "The final answer is here.", stopped: "Stopped.", failed: "Failed.", idle: "" };

/** @param {{run: object}} props */
export function Progress({ run }) {
  const working = run.phase === "running" || run.phase === "waiting";
  const now = useClock(working);
  const most = Number(run.answer?.options?.maxEvaluations ?? 0);
  const part = run.phase === "done" ? 1 : run.stale || !run.answer || !most ? 0 : Math.min(1, run.answer.evaluations / most);
  return html`<div class="progress">
    <p>${progressText(run, now)}</p>
    <div class=${`track ${working ? "working" : ""}`} aria-hidden="true"><span style=${{ width: `${(100 * part).toFixed(1)}%` }}></span></div>
    <p class="spoken" role="status">${SPOKEN[run.phase]}</p>
  </div>`;
}

const WHAT_TO_DO = {
  unauthenticated: "The server wants a token that it knows. Give it by the button Token at the top, then try again.",
  permission_denied: "The token may not do this. Use another one, by the button Token at the top, or ask who runs the server.",
  not_found: "The server does not have this. Choose another model or version.",
  invalid_argument: "The server did not accept what it was given. Mend the marked fields, then try again.",
  failed_precondition: "The server cannot do this now. Choose another version, or try again when its state has changed.",
  resource_exhausted: "The server has no room for this now. Try again, or ask for fewer evaluations.",
  unavailable: "The server cannot be reached or is not ready. Try again when it is back; the form keeps what you gave.",
  deadline_exceeded: "The server did not answer in time. Try again, or ask for fewer evaluations.",
};

/** What a failure means and what to do. @param {{error: Error, onRetry: Function}} props */
export function Failure({ error, onRetry }) {
  return html`<div class="notice bad failure" role="alert">
    <p>${WHAT_TO_DO[error.code] ?? "Something went wrong. Try again; if it stays, tell who runs the server."}</p>
    <p class="quiet" dir="auto">The server says: ${error.message}${error.requestId ? html` <span class="request">Request ${error.requestId}</span>` : ""}</p>
    ${error.code !== "invalid_argument" && html`<button type="button" onClick=${onRetry}>Retry</button>`}
  </div>`;
}
