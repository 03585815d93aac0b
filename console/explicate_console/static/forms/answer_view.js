// The answer of a run: what is predicted, the input with its parts coloured, the numbers, and what they say in words.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import EditPanel, { isEditable, moved, withCells } from "/static/forms/edit_panel.js";
import Moved from "/static/forms/moved.js";
import TakeAlong from "/static/forms/take_along.js";
import { Change, Interactions } from "/static/forms/together.js";
import { cell } from "/static/format.js";
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

/** Notices about the answer as a whole: that of an earlier question, a guess. */
function Notices({ run }) {
  const working = run.phase === "running" || run.phase === "waiting";
  return html`
    ${run.stale && !working && html`<p class="notice">This is the answer to the question before.</p>`}
    ${run.answer.preview && html`<p class="notice">A first guess, before anything was left out; the estimate follows.</p>`}`;
}

const textOf = (value) => (value === null ? null : String(value));

function Explanation({ run, picked, onPick, onInput }) {
  const [chosen, setOutput] = useState(0);
  const { answer, asked } = run;
  const output = Math.min(chosen, answer.outputs.length - 1);
  if (output < 0) return null;
  const settled = !run.stale && ["done", "stopped", "failed"].includes(run.phase);
  const take = () => {
    const cells = answer.change.columns.map((each) => [each.column, textOf(each.after)]);
    onInput((input) => withCells(input, Object.fromEntries(cells)), answer.change.columns.map((each) => `${each.column}: ${moved(cell(each.before), cell(each.after))}`).join(", "));
  };
  const pick = settled ? (item) => isEditable(item) && onPick(item) : undefined;
  return html`
    <${OutputChoice} answer=${answer} output=${output} onOutput=${setOutput} />
    <section class="explained" aria-label="The input with its parts coloured">
      <${Explained} answer=${answer} output=${output} onPick=${pick} />
      ${answer.kind !== "image" && html`<p class="hint">Choose ${answer.kind === "row" ? "a column" : "a word"} to change it and see the answer move.</p>`}
      ${picked && settled && html`<${EditPanel} item=${picked} info=${asked.info} input=${asked.input} onInput=${onInput} onCancel=${() => onPick(null)} />`}
    </section>
    <${Numbers} answer=${answer} output=${output} />
    ${!run.stale && html`<${Interactions} answer=${answer} output=${output} />
      <${Change} answer=${answer} onTake=${settled ? take : undefined} />`}`;
}

/**
 * What the page Try shows of a run: what a change did, the answer, and what to take along.
 * @param {{run: object, form: object, steps: object[], onUndo: Function, picked: object|null, onPick: Function, onInput: Function}} props
 */
export default function AnswerView(props) {
  const { run, form, steps, onUndo } = props;
  const { answer } = run;
  return html`
    <${Moved} steps=${steps} run=${run} onUndo=${onUndo} />
    ${answer && html`<div class=${`answer-body ${run.stale ? "stale" : ""}`} aria-busy=${run.stale}>
      <${Notices} run=${run} />
      <${Prediction} answer=${answer} />
      <${Explanation} ...${props} />
      ${run.only === "explain" && !run.stale && html`<${Told} answer=${answer} />`}
    </div>`}
    ${answer && !run.stale && run.phase !== "running" && html`<${TakeAlong} run=${run} form=${form} />`}`;
}
