// The explanation in plain words: what it says, how sure it is, and what not to conclude.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, seconds } from "/static/format.js";
import { term } from "/static/glossary.js";
import { heldFacts } from "/static/marks/held.js";
import { howSure, notToConclude, whatItIs } from "/static/marks/wording.js";
import "/static/marks/common.js";

/** Sentences of the answer, its quality in words, and how it was computed; room is kept for what the last answer adds. */
export default function Told({ answer }) {
  const scale = term("scale", answer.space)?.says;
  return html`<div role="group" class="mark mark-told" aria-label="In plain words">
    <div class="mark-sentences" lang=${answer.language || undefined}>
      ${answer.sentences.map((sentence) => html`<p dir="auto">${sentence}</p>`)}
      ${!answer.final && html`<p class="mark-quiet">The answer in words comes with the last estimate.</p>`}</div>
    <h3>What the numbers are</h3>
    <p>${whatItIs(answer)} ${scale}</p>
    <h3>How sure it is</h3>
    <ul class=${answer.stopReason === "exact" ? "" : "mark-sure"}>${howSure(answer).map((line) => html`<li>${line}</li>`)}</ul>
    <h3>What not to conclude</h3>
    <ul>${notToConclude(answer, term).map((line) => html`<li>${line}</li>`)}</ul>
    <details><summary>How it was computed</summary><dl class="mark-facts">${facts(answer).map(([name, value, says]) => html`<div><dt>${name}</dt>
      <dd><bdi dir="auto">${value}</bdi>${says && html`<span class="mark-quiet mark-says">${says}</span>`}</dd></div>`)}</dl></details>
  </div>`;
}

/** [name, value, what it means] of each. */
function facts(answer) {
  const { model } = answer;
  const known = answer.reusedEvaluations ? ` (${count(answer.reusedEvaluations)} known before)` : "";
  return [
    ["model", `${model.model}, version ${model.version}`], ["runs on", `${model.runtime}, ${model.precision}`],
    ["method", answer.method, term("method", answer.method)?.says], ["scale", answer.space],
    ["left out", answer.masking, term("masking", answer.masking)?.says],
    ["compared with", answer.baselineNote], ...heldFacts(answer), ["parts", `${count(answer.parts.features.length)} ${answer.nouns}`],
    ["evaluations", `${count(answer.evaluations)}${known} in ${count(answer.rounds)} ${answer.rounds === 1 ? "round" : "rounds"}`, term("sure", "evaluation")?.says],
    ["end", answer.preview ? "preview" : answer.stopReason, term(answer.preview ? "sure" : "stop", answer.preview ? "preview" : answer.stopReason)?.says],
    ["confidence", answer.confidence === null ? "" : String(answer.confidence), term("sure", "interval")?.says],
    ["seed", String(answer.seed), term("sure", "seed")?.says], ["time", seconds(answer.timing.totalS)],
    ["method’s version", answer.methodVersion], ["bundle", model.digest],
  ].filter(([, value]) => value);
}
