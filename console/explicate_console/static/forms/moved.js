// How the answer moved when the input was changed: before, after, the difference; and the way back.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { number, share, valueText } from "/static/format.js";

const MOST_ROWS = 6;
const DASH = "–";

const decided = ({ prediction }) => (prediction.value !== null ? valueText(prediction.value)
  : prediction.labels ? prediction.labels.join(", ") || "no label" : prediction.label);

/** The classes' probabilities before and after, those that moved most first when there are many. */
function scoreRows(before, after) {
  const then = new Map(before.prediction.scores.map((each) => [each.index, each.probability]));
  const rows = before.prediction.scores.map((each) => {
    const now = after?.prediction.scores.find((score) => score.index === each.index)?.probability ?? null;
    return { name: each.label, before: then.get(each.index), after: now, moved: now === null ? null : now - then.get(each.index) };
  });
  return rows.length > MOST_ROWS ? [...rows].sort((one, other) => Math.abs(other.moved ?? 0) - Math.abs(one.moved ?? 0)).slice(0, MOST_ROWS) : rows;
}

function valueRow(before, after) {
  const now = after?.prediction.value ?? null;
  return { name: before.prediction.target || "value", before: before.prediction.value, after: now, moved: now === null ? null : now - before.prediction.value };
}

function Row({ row, write, difference }) {
  const side = row.moved > 0 ? "raised" : row.moved < 0 ? "lowered" : "";
  return html`<tr><th scope="row" dir="auto"><span class="cut">${row.name}</span></th><td class="number">${write(row.before)}</td>
    <td class="number">${row.after === null ? DASH : write(row.after)}</td><td class=${`number ${side}`}>${row.moved === null ? DASH : difference(row.moved)}</td></tr>`;
}

const points = (moved) => `${number(100 * moved, 1)} points`;

/**
 * @param {{steps: {words: string, run: object}[], run: object, onUndo: Function}} props
 * steps are the changes so far, each with the run before it.
 */
export default function Moved({ steps, run, onUndo }) {
  if (!steps.length) return null;
  const last = steps.at(-1);
  const before = last.run.answer;
  const after = run.stale || !run.answer ? null : run.answer;
  const isValue = before.prediction.value !== null;
  const rows = isValue ? [valueRow(before, after)] : scoreRows(before, after);
  const outcome = !after ? "asking" : decided(before) === decided(after) && !isValue ? html`still <bdi>${decided(after)}</bdi>` : html`<bdi>${decided(before)}</bdi> → <bdi>${decided(after)}</bdi>`;
  return html`<section class="moved" aria-label="What the change did">
    <p><strong class="cut" title=${last.words}>${last.words}</strong> <span class="cut">${outcome}</span></p>
    <div class="wide" tabindex="0" role="group" aria-label="Before and after"><table><thead><tr><th scope="col">${isValue ? "value" : "probability of"}</th><th scope="col" class="number">before</th><th scope="col" class="number">after</th><th scope="col" class="number">difference</th></tr></thead>
      <tbody>${rows.map((row) => html`<${Row} row=${row} write=${isValue ? valueText : share} difference=${isValue ? (moved) => number(moved, 3) : points} />`)}</tbody></table></div>
    <button type="button" onClick=${() => onUndo(steps.length - 1)}>Undo</button>
    ${steps.length > 1 && html` <button type="button" onClick=${() => onUndo(0)}>Undo all ${steps.length} changes</button>`}
  </section>`;
}
