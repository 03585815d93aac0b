// What the log has, and what came now, side by side.
import { html, useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { NumberedBars } from "/static/audit/recorded_values.js";
import { count, number } from "/static/format.js";

const MOST = 50;

/** The answer with the recorded values in place of its own; null where the two have other parts. */
export function recordedAnswer(answer, rows) {
  const fits = rows && rows.length === answer.outputs.length && rows.every((row, i) => row.length === answer.outputs[i].items.length);
  if (!fits) return null;
  const of = (output, i) => output.items.map((item, place) => ({ ...item, value: rows[i][place], lower: null, upper: null, error: null, hasInterval: false, certain: true }));
  return { ...answer, outputs: answer.outputs.map((output, i) => ({ ...output, items: of(output, i) })) };
}

/** The mark of an explained input; loaded when one is drawn first. */
function useExplained() {
  const [Explained, setExplained] = useState(null);
  useEffect(() => { import("/static/marks/input.js").then((module) => setExplained(() => module.default)); }, []);
  return Explained;
}

/** recorded: rows of values. alike: whether the answer is the recorded one to the last bit, so that one picture is both. */
export function Beside({ recorded, answer, alike }) {
  const [output, setOutput] = useState(0);
  const Explained = useExplained();
  const before = recordedAnswer(answer, recorded);
  const one = answer.outputs[output];
  return html`<div class="audit-beside">
    ${answer.outputs.length > 1 && html`<label>Shown for <select value=${output} onChange=${(event) => setOutput(Number(event.target.value))}>
      ${answer.outputs.map((each, i) => html`<option value=${i}>${each.name || `output ${i + 1}`}</option>`)}</select></label>`}
    ${alike ? html`<section aria-label="As recorded, and now"><h3>As recorded, and now</h3>
      ${Explained && one && html`<${Explained} answer=${answer} output=${output} />`}</section>` : html`<div class="audit-columns">
      <section aria-label="As recorded"><h3>As recorded</h3>${before
        ? Explained && html`<${Explained} answer=${before} output=${output} /><p class="quiet">The log has no intervals, so that every figure is drawn as unsure.</p>`
        : recorded?.[output] ? html`<p class="quiet">The parts were others then.</p><${NumberedBars} row=${recorded[output]} space=${answer.space} />`
          : html`<p class="quiet">The log has the SHA-256 of the attributions alone.</p>`}</section>
      <section aria-label="Now"><h3>Now</h3>${Explained && one && html`<${Explained} answer=${answer} output=${output} />`}</section>
    </div>`}
    ${before && one && html`<${Differences} before=${before.outputs[output]} now=${one} noun=${answer.noun} decimals=${answer.decimals} />`}</div>`;
}

function Differences({ before, now, noun, decimals }) {
  const rows = now.items.map((item, place) => ({ name: item.name, then: before.items[place].value, now: item.value }));
  const size = (row) => Math.abs((row.now ?? 0) - (row.then ?? 0));
  const apart = rows.some((row) => size(row) > 0);
  rows.sort((one, other) => size(other) - size(one) || Math.abs(other.now ?? 0) - Math.abs(one.now ?? 0));
  const name = noun ? noun[0].toUpperCase() + noun.slice(1) : "Part";
  return html`<details open=${apart}><summary>${apart ? "Where they differ most" : "Every figure, recorded and now"}</summary>
    <div class="audit-table" tabindex="0" role="region" aria-label="Recorded and now"><table><thead><tr><th scope="col">${name}</th><th scope="col" class="number">Recorded</th>
      <th scope="col" class="number">Now</th><th scope="col" class="number">Difference</th></tr></thead>
    <tbody>${rows.slice(0, MOST).map((row, i) => html`<tr key=${i}><th scope="row"><span class="audit-cut" dir="auto">${row.name}</span></th><td class="number">${number(row.then, decimals)}</td>
      <td class="number">${number(row.now, decimals)}</td><td class="number">${size(row) === 0 ? "none" : smallNumber(row.now - row.then, decimals)}</td></tr>`)}</tbody></table></div>
    ${rows.length > MOST && html`<p class="quiet">and ${count(rows.length - MOST)} more.</p>`}</details>`;
}

/** A difference that the usual decimals would write as 0 is written with its power of ten. */
function smallNumber(value, decimals) {
  return Math.abs(value) < 0.5 * 10 ** -decimals ? `${value < 0 ? "-" : "+"}${Math.abs(value).toExponential(1)}` : number(value, decimals);
}
