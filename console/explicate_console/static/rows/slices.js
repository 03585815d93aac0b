// The chosen rows cut by a column: of each slice the mean prediction and the mean of what a feature adds.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { cell, count, decimalsFor, number, plainNumber, share, valueText } from "/static/format.js";
import { kindOfType, sliceCondition } from "/static/rows/conditions.js";
import { ofFilter, useRows } from "/static/rows/rows_api.js";

const USUAL_SLICES = 6;

/** @param {{folder: object, state: object, go: Function, chosen: object, narrow: (condition: string) => void}} props */
export default function Slices({ folder, state, go, chosen, narrow }) {
  const columns = folder.columns.filter((each) => kindOfType(each.type));
  const first = columns.find((each) => folder.kept.includes(each.name) && each.name !== "id") ?? columns[0];
  const column = state.slice || first?.name || "";
  const added = state.added ? `added.${state.added}` : "";
  const label = state.class || folder.classLabels[0] || "";
  const { answer, error, busy } = useRows("slices", column ? { ...chosen, column, label, added } : null);
  if (!column) return null;
  const features = state.added && !folder.features.includes(state.added) ? [...folder.features, state.added] : folder.features;
  return html`<section class="rows-slices" aria-labelledby="rows-slices-title"><h2 id="rows-slices-title">Slices</h2>
    <div class="rows-choices"><label>Cut by<select value=${column} onChange=${(event) => go({ slice: event.target.value })}>
        ${columns.slice(0, 400).map((each) => html`<option value=${each.name}>${each.name}</option>`)}</select></label>
      ${folder.classLabels.length > 1 && answer?.of !== "value" && html`<label>Probability of<select value=${label} onChange=${(event) => go({ class: event.target.value })}>
        ${folder.classLabels.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>`}
      ${features.length > 0 && html`<label>and what this adds<select value=${state.added} onChange=${(event) => go({ added: event.target.value })}>
        <option value="">nothing</option>${features.slice(0, 400).map((each) => html`<option value=${each}>${each}</option>`)}</select></label>`}</div>
    ${error && !ofFilter(error) && html`<p class="notice bad" role="alert" dir="auto">${error.message}</p>`}
    <div class=${busy ? "rows-busy" : ""}><${SliceTable} answer=${answer} label=${label} feature=${state.added} narrow=${narrow} /></div>
    <p class="quiet">Dots are means, lines their intervals of 95 %: how far a mean would move with other rows of the same kind. A slice that differs may differ for another reason than its column.</p></section>`;
}

function SliceTable({ answer, label, feature, narrow }) {
  const slices = answer?.slices ?? [];
  const awaited = answer ? 0 : USUAL_SLICES;
  const isValue = answer?.of === "value";
  const predictions = isValue ? extent(slices, "prediction") : [0, 1];
  const withAdded = feature && slices.some((each) => each.added);
  const effects = extent(slices, "added", true);
  return html`<div class="wide" tabindex="0" role="group" aria-label="Slices"><table class="rows-slice-table"><thead><tr><th scope="col"><bdi dir="auto">${answer?.column ?? ""}</bdi></th><th scope="col" class="number">rows</th>
      <th scope="col" colspan="2">mean ${isValue ? "value" : html`probability of <bdi dir="auto">${label}</bdi>`}</th>
      ${withAdded && html`<th scope="col" colspan="2">mean of what <bdi dir="auto">${feature}</bdi> adds</th>`}</tr></thead>
    <tbody>${slices.map((each) => html`<tr><th scope="row"><button class="rows-sort" title="Show these rows alone" onClick=${() => narrow(sliceCondition(answer.column, each))}><bdi dir="auto" class="rows-cell">${sliceName(each)}</bdi></button></th>
      <td class="number">${count(each.rows)}</td>
      <${Mean} told=${each.prediction} range=${predictions} show=${isValue ? valueText : share} />
      ${withAdded && html`<${Mean} told=${each.added} range=${effects} show=${(value) => number(value, Math.max(3, decimalsFor(value, 2)))} zero />`}</tr>`)}
      ${Array.from({ length: awaited }, () => html`<tr aria-hidden="true"><td>\u00a0</td></tr>`)}</tbody></table>
    ${answer?.others > 0 && html`<p class="quiet">${count(answer.others)} more values have fewer rows each.</p>`}</div>`;
}

function sliceName(slice) {
  if (slice.missing) return "missing";
  if ("value" in slice) return slice.value === "" ? "(empty)" : cell(slice.value);
  return slice.last ? `${cell(slice.low)} to ${cell(slice.high)}` : `${cell(slice.low)} to below ${cell(slice.high)}`;
}

function extent(slices, name, zero = false) {
  const ends = slices.flatMap((each) => [each[name]?.mean, ...(each[name]?.interval ?? [])]).filter(Number.isFinite);
  const low = Math.min(...ends, ...(zero || !ends.length ? [0] : []));
  const high = Math.max(...ends, ...(zero || !ends.length ? [0] : []));
  const room = 0.05 * (high - low || 1);
  return [low - room, high + room];
}

function Mean({ told, range, show, zero = false }) {
  if (!told || told.mean === null) return html`<td></td><td class="number">–</td>`;
  const at = (value) => Math.min(100, Math.max(0, (100 * (value - range[0])) / (range[1] - range[0])));
  const [low, high] = told.interval ?? [told.mean, told.mean];
  const half = told.interval ? (high - low) / 2 : null;
  return html`<td class="rows-track rows-mean">${zero && html`<span class="rows-zero" style=${{ left: `${at(0)}%` }}></span>`}
      <span class="rows-whisker" style=${{ left: `${at(low)}%`, width: `${at(high) - at(low)}%` }}></span>
      <span class=${`rows-point${zero ? (told.mean > 0 ? " raises" : " lowers") : ""}`} style=${{ left: `${at(told.mean)}%` }}></span></td>
    <td class="number">${show(told.mean)}${half !== null && html` <span class="quiet">± ${show === share ? plainNumber(100 * half, 1) : plainNumber(half, Math.max(3, decimalsFor(half, 2)))}</span>`}</td>`;
}
