// The explanation in plain words: what it says, how sure it is, and what not to conclude.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, seconds } from "/static/format.js";
import { howSure, notToConclude, stopReason } from "/static/marks/wording.js";
import "/static/marks/common.js";

/** Sentences of the answer, its quality in words, and how it was computed. */
export default function Told({ answer }) {
  return html`<section class="mark mark-told" aria-label="In plain words">
    <div class="mark-sentences" lang=${answer.language || undefined}>${answer.sentences.map((sentence) => html`<p dir="auto">${sentence}</p>`)}</div>
    <h3>How sure it is</h3>
    <ul>${howSure(answer).map((line) => html`<li>${line}</li>`)}</ul>
    <h3>What not to conclude</h3>
    <ul>${notToConclude(answer).map((line) => html`<li>${line}</li>`)}</ul>
    <details><summary>How it was computed</summary><dl class="mark-facts">${facts(answer).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></details>
  </section>`;
}

function facts(answer) {
  const { model } = answer;
  return [
    ["model", `${model.model}, version ${model.version}`], ["runs on", `${model.runtime}, ${model.precision}`],
    ["method", `${answer.method}, version ${answer.methodVersion}`], ["scale", answer.space],
    ["what is left out", answer.masking], answer.baselineNote && ["compared with", answer.baselineNote],
    ["parts", `${answer.parts.features.length} ${answer.nouns}`],
    ["evaluations", `${count(answer.evaluations)}${answer.reusedEvaluations ? ` (${count(answer.reusedEvaluations)} known before)` : ""} in ${answer.rounds} rounds`],
    ["time", seconds(answer.timing.totalS)], ["end", stopReason(answer)], ["seed", String(answer.seed)],
    ["bundle", model.digest],
  ].filter((fact) => fact && fact[1]);
}
