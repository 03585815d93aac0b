// The answer of a run: what is predicted, the input with its parts coloured, the numbers, and what they say in words.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import EditPanel, { isEditable } from "/static/forms/edit_panel.js";
import { count } from "/static/format.js";
import Bars from "/static/marks/bars.js";
import Explained from "/static/marks/input.js";
import Prediction from "/static/marks/prediction.js";
import Told from "/static/marks/told.js";
import Waterfall from "/static/marks/waterfall.js";

function OutputChoice({ answer, output, onOutput }) {
  if (answer.outputs.length < 2) return null;
  return html`<label class="output-choice">Explained output
    <select value=${output} dir="auto" onChange=${(event) => onOutput(Number(event.target.value))}>
      ${answer.outputs.map((each, at) => html`<option value=${at} selected=${at === output}>${each.name}</option>`)}</select></label>`;
}

const VIEWS = { bars: { name: "Bars", Mark: Bars }, waterfall: { name: "Waterfall", Mark: Waterfall } };

function Numbers({ answer, output }) {
  const [view, setView] = useState("bars");
  const { Mark } = VIEWS[view];
  return html`<section class="numbers" aria-label="What each part adds">
    <div class="switch" role="group" aria-label="View">${Object.entries(VIEWS).map(([key, { name }]) => html`
      <button type="button" aria-pressed=${key === view} onClick=${() => setView(key)}>${name}</button>`)}</div>
    <${Mark} answer=${answer} output=${output} />
  </section>`;
}

/** Notices about the answer as a whole: a guess, not final, categories the model does not know. */
function Notices({ run }) {
  const { answer } = run;
  const unknown = answer.prediction.unknownColumns ?? [];
  const usage = answer.prediction.textUsage;
  return html`
    ${run.stale && run.phase !== "running" && run.phase !== "waiting" && html`<p class="notice">This is the answer to the question before.</p>`}
    ${answer.preview && html`<p class="notice">A first guess from a look at the whole input; the estimate follows.</p>`}
    ${unknown.length > 0 && html`<p class="notice" dir="auto">The model does not know the category of ${unknown.join(", ")} and took it as unknown.</p>`}
    ${usage?.truncated && html`<p class="notice">The model read ${count(usage.tokensUsed)} of ${count(usage.tokens)} tokens; what comes after was not seen.</p>`}`;
}

function Explanation({ run, picked, onPick, onInput, onCancel }) {
  const [chosen, setOutput] = useState(0);
  const { answer, asked } = run;
  const output = Math.min(chosen, answer.outputs.length - 1);
  if (output < 0) return null;
  const settled = !run.stale && ["done", "stopped", "failed"].includes(run.phase);
  const pick = settled ? (item) => isEditable(item) && onPick(item) : undefined;
  return html`
    <${OutputChoice} answer=${answer} output=${output} onOutput=${setOutput} />
    <section class="explained" aria-label="The input with its parts coloured">
      <${Explained} answer=${answer} output=${output} onPick=${pick} />
      ${answer.kind !== "image" && html`<p class="hint">Choose ${answer.kind === "row" ? "a column" : "a word"} to change it and see the answer move.</p>`}
      ${picked && settled && html`<${EditPanel} item=${picked} info=${asked.info} input=${asked.input} onInput=${onInput} onCancel=${onCancel} />`}
    </section>
    <${Numbers} answer=${answer} output=${output} />`;
}

/** @param {{run: object, picked: object|null, onPick: Function, onInput: Function, onCancel: Function}} props */
export default function AnswerView(props) {
  const { run } = props;
  const { answer } = run;
  return html`<div class=${`answer-body ${run.stale ? "stale" : ""}`} aria-busy=${run.stale}>
    <section aria-label="Prediction"><${Prediction} answer=${answer} /></section>
    <${Notices} run=${run} />
    <${Explanation} ...${props} />
    ${run.only === "explain" && !run.stale && html`<section class="told" aria-label="In words"><${Told} answer=${answer} /></section>`}
  </div>`;
}
