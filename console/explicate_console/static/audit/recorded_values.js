// The attributions of a record as bars. The log has no names of parts: they come with a replay.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, decimalsOf, number } from "/static/format.js";
import { NOTHING } from "/static/marks/scales.js";

const MOST = 12;

/** The rows of attributions that a record holds: one for each output; null where it has the digest only. */
export function recordedRows(fields) {
  const held = fields.attributions;
  const fits = Array.isArray(held) && held.every((row) => Array.isArray(row) && row.every((each) => typeof each === "number" || each === null));
  return fits ? held : null;
}

export function Recorded({ fields }) {
  const rows = recordedRows(fields);
  if (!rows) {
    return html`<p class="quiet">The log has the SHA-256 of the attributions, and not themselves: they are too many, or of a table.
      A replay can still tell whether they are the same.</p>`;
  }
  const space = fields.options?.output_space;
  return html`<p class="quiet">${count(rows[0]?.length ?? 0)} parts; the log has no names of them, a replay brings them back.</p>
    ${rows.length > 0 && html`<${NumberedBars} row=${rows[0]} space=${space} name=${rows.length > 1 ? "Output 1" : ""} />`}
    ${rows.length > 1 && html`<details><summary>The other ${rows.length === 2 ? "output" : `${count(rows.length - 1)} outputs`}</summary>
      ${rows.slice(1, MOST).map((row, output) => html`<${NumberedBars} row=${row} space=${space} name=${`Output ${output + 2}`} />`)}
      ${rows.length > MOST && html`<p class="quiet">and ${count(rows.length - MOST)} more, in the whole line below.</p>`}</details>`}`;
}

/** The largest values of one output, by the places of their parts. */
export function NumberedBars({ row, space, name }) {
  const placed = row.map((value, place) => ({ value, place })).filter((each) => each.value !== null);
  placed.sort((one, other) => Math.abs(other.value) - Math.abs(one.value));
  const largest = Math.max(Math.abs(placed[0]?.value ?? 0), NOTHING);
  const decimals = decimalsOf(row.filter((each) => each !== null), space);
  return html`<table class="audit-bars">${name && html`<caption>${name}</caption>`}
    <thead class="audit-spoken"><tr><th scope="col">Part</th><th scope="col">Bar</th><th scope="col">Adds</th></tr></thead>
    <tbody>${placed.slice(0, MOST).map(({ value, place }) => html`<tr key=${place}>
      <th scope="row">Part ${place + 1}</th>
      <td class="audit-bar"><span class=${value < 0 ? "lowers" : "raises"} style=${{ width: `${50 * Math.abs(value) / largest}%` }}></span></td>
      <td class="number">${number(value, decimals)}</td></tr>`)}</tbody></table>
    ${placed.length > MOST && html`<p class="quiet">and ${count(placed.length - MOST)} smaller ones.</p>`}`;
}
