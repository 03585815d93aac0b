// One side of a comparison: what it answers and why, or what went wrong with it alone.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, seconds } from "/static/format.js";
import Explained from "/static/marks/input.js";
import Prediction from "/static/marks/prediction.js";
import { Disc, Square } from "/static/compare/paired.js";
import { outputFor } from "/static/compare/wording.js";
import { stopWords } from "/static/stopped.js";

function Failure({ error, onAgain }) {
  const untold = (error.violations ?? []).filter(({ description }) => !error.message.includes(description));
  return html`<div class="notice bad side-notice" role="alert">
    <p dir="auto">${error.message}</p>
    ${untold.length > 0 && html`<ul>${untold.map((each) => html`<li dir="auto"><code>${each.field}</code> ${each.description}</li>`)}</ul>`}
    ${error.requestId && html`<p class="quiet">Request ${error.requestId}</p>`}
    <button onClick=${onAgain}>Ask this side again</button></div>`;
}

function progress({ state, answer, tookS }) {
  if (state === "cancelled") return answer ? "Cancelled; this is the estimate until then." : "Cancelled before there was an estimate.";
  if (state === "failed") return answer ? "It failed; this is the estimate until then." : "It failed.";
  if (!answer) return "Asked; waiting for the first estimate.";
  if (state === "asking") return `Round ${answer.rounds}: ${count(answer.evaluations)} evaluations so far.`;
  return `${count(answer.evaluations)} evaluations in ${seconds(tookS)}: ${stopWords(answer.stopReason)}.`;
}

/** @param {{letter: string, title: string, side: object, label: string|null, onAgain: Function}} props */
export default function Side({ letter, title, side, label, onAgain }) {
  const { answer, error, state } = side;
  return html`<section class="side" aria-labelledby=${`side-${letter}`} aria-busy=${state === "asking"}>
    <h2 id=${`side-${letter}`}>${letter === "A" ? html`<${Disc} />` : html`<${Square} />`} ${letter} <span class="side-title" dir="auto">${title}</span></h2>
    <p class="quiet side-progress">${progress(side)}</p>
    ${state === "failed" && html`<${Failure} error=${error} onAgain=${onAgain} />`}
    ${state === "cancelled" && html`<p><button onClick=${onAgain}>Ask this side again</button></p>`}
    ${answer && html`<p class="quiet" dir="auto">${answer.model.model} version ${answer.model.version} on ${answer.model.runtime}, ${answer.model.precision}</p>
      <${Prediction} answer=${answer} />
      <${Explained} answer=${answer} output=${outputFor(answer, label)} />`}
  </section>`;
}
