// The pairs of two answers as a table that is a plot: A's value as a disc and B's as a square, with their intervals, on one scale.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { cell, number, plainNumber } from "/static/format.js";
import { NOTHING } from "/static/marks/scales.js";

const SHOWN_FIRST = 20;
const MARGIN = 3; // percent of the plot's width that stays free on either side
const TICKS = 6; // about as many
const LONG = 60; // characters: a longer name is cut, and shown whole when it has the focus

/** The scale of all values and intervals, with 0 on it: {low, high, at(value) in percent, ticks}. */
export function scaleOf(rows) {
  const ends = rows.flatMap((row) => [[row.valueLeft, row.halfLeft], [row.valueRight, row.halfRight]])
    .filter(([value]) => value !== null).flatMap(([value, half]) => [value - (half ?? 0), value + (half ?? 0)]);
  const extent = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const [low, high] = extent[1] - extent[0] < NOTHING ? [-1, 1] : extent;
  const span = high - low;
  return { low, high, at: (value) => MARGIN + ((100 - 2 * MARGIN) * (value - low)) / span, ticks: ticksOf(low, high, span) };
}

function ticksOf(low, high, span) {
  const rough = span / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
  const ticks = [];
  for (let place = Math.ceil(low / step); place * step <= high + 1e-9 * span; place += 1) ticks.push(place * step);
  return { step, values: ticks };
}

const percent = (value) => `${value.toFixed(2)}%`;

function Axis({ scale }) {
  const decimals = Math.max(0, -Math.floor(Math.log10(scale.ticks.step)));
  return html`<span class="axis" aria-hidden="true">${scale.ticks.values.map((tick) => html`
    <span style=${{ left: percent(scale.at(tick)) }}>${tick === 0 ? "0" : number(tick, decimals)}</span>`)}</span>`;
}

const signClass = (value) => (value > 0 ? "raises" : value < 0 ? "lowers" : "none");

function Dot({ scale, value, half, y, square }) {
  if (value === null) return null;
  const x = percent(scale.at(value));
  const whisker = half > 0 && html`<line class="whisker" x1=${percent(scale.at(value - half))} x2=${percent(scale.at(value + half))} y1=${y} y2=${y} />`;
  const mark = square ? html`<rect x=${x} y=${y - 4} width="8" height="8" transform="translate(-4 0)" />` : html`<circle cx=${x} cy=${y} r="4.5" />`;
  return html`<g class=${signClass(value)}>${whisker}${mark}</g>`;
}

function Plot({ scale, row }) {
  const zero = percent(scale.at(0));
  const both = row.valueLeft !== null && row.valueRight !== null;
  return html`<svg class="paired" aria-hidden="true" focusable="false" width="100%" height="34">
    ${scale.ticks.values.map((tick) => html`<line class="grid" x1=${percent(scale.at(tick))} x2=${percent(scale.at(tick))} y1="0" y2="34" />`)}
    <line class="zero" x1=${zero} x2=${zero} y1="0" y2="34" />
    ${both && html`<line class=${row.beyond ? "apart sure" : "apart"} x1=${percent(scale.at(row.valueLeft))} y1="10" x2=${percent(scale.at(row.valueRight))} y2="24" />`}
    <${Dot} scale=${scale} value=${row.valueLeft} half=${row.halfLeft} y=${10} />
    <${Dot} scale=${scale} value=${row.valueRight} half=${row.halfRight} y=${24} square /></svg>`;
}

/** "± 0.012"; what is not quite nothing does not read as that. */
function halfText(half, decimals) {
  if (half === null) return "no interval";
  if (half === 0) return "exact";
  const least = 10 ** -decimals;
  return half < least / 2 ? `± <${plainNumber(least, decimals)}` : `± ${plainNumber(half, decimals)}`;
}

function Side({ letter, value, half, items, decimals }) {
  if (!items.length) return html`<td class="number" role="cell"><span class="which">${letter} </span><span class="quiet">not there</span></td>`;
  return html`<td class="number" role="cell"><span class="which">${letter} </span>${number(value, decimals)}
    <span class="half">${value === null ? "not known" : halfText(half, decimals)}</span></td>`;
}

function verdict(row) {
  if (!row.left.length) return "only B has it";
  if (!row.right.length) return "only A has it";
  if (row.difference === null) return "not known";
  if (row.beyond === null) return "chance or not: not known";
  if (row.beyond) return "differs";
  return row.half === 0 ? "the same" : "may be chance";
}

function Difference({ row, heading, decimals }) {
  return html`<td class=${`number ${row.beyond ? "sure" : ""}`} role="cell">
    <span class="which">${heading} </span>${row.difference !== null && html`${number(row.difference, decimals)} <span class="half inline">${halfText(row.half, decimals)}</span>`}
    <span class="verdict-word">${verdict(row)}</span></td>`;
}

const held = (items) => items.flatMap((item) => Object.entries(item.cells ?? {}));

/** The values of a column on both sides: " = 34", or " = 34 → 51". */
function cellsWords(row) {
  const [left, right] = [row.left, row.right].map((items) => held(items).map(([column, value]) => (held(items).length > 1 ? `${column} ${cell(value)}` : cell(value))).join(", "));
  if (!left && !right) return "";
  return left === right || !right ? ` = ${left}` : left ? ` = ${left} → ${right}` : ` = ${right}`;
}

function Name({ row }) {
  const text = `${row.name}${row.changed ? ` → ${row.nameRight}` : ""}${cellsWords(row)}`;
  const cut = [row.left.length, row.right.length];
  return html`<th scope="row" role="rowheader">
    <span class="part-name" dir="auto" tabindex=${text.length > LONG ? 0 : undefined}>${text}</span>
    ${row.of > 1 && html`<span class="half">place ${row.nth} of ${row.of}</span>`}
    ${Math.max(...cut) > 1 && Math.min(...cut) > 0 && html`<span class="half">${cut[0]} of A, ${cut[1]} of B, summed</span>`}</th>`;
}

/**
 * @param {{rows: object[], decimals: number, heading: string, noun: string, caption: string}} props
 * rows as differences() gives them; heading says what the difference is, "B − A".
 */
export default function Paired({ rows, decimals, heading, noun, caption }) {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.slice(0, SHOWN_FIRST);
  const scale = scaleOf(rows);
  return html`<table class="pairs" role="table"><caption class="quiet">${caption}</caption>
    <thead role="rowgroup"><tr role="row">
      <th role="columnheader" scope="col">${noun[0].toUpperCase()}${noun.slice(1)}</th>
      <th role="columnheader" scope="col" class="plot"><span class="reader-only">Plot of the figures beside it</span><${Axis} scale=${scale} /></th>
      <th role="columnheader" scope="col" class="number"><${Disc} /> A</th>
      <th role="columnheader" scope="col" class="number"><${Square} /> B</th>
      <th role="columnheader" scope="col" class="number">${heading}</th></tr></thead>
    <tbody role="rowgroup">${shown.map((row) => html`<tr role="row">
      <${Name} row=${row} />
      <td class="plot" role="cell"><${Plot} scale=${scale} row=${row} /></td>
      <${Side} letter="A" value=${row.valueLeft} half=${row.halfLeft} items=${row.left} decimals=${decimals} />
      <${Side} letter="B" value=${row.valueRight} half=${row.halfRight} items=${row.right} decimals=${decimals} />
      <${Difference} row=${row} heading=${heading} decimals=${decimals} /></tr>`)}</tbody></table>
    ${rows.length > SHOWN_FIRST && html`<button aria-expanded=${all} onClick=${() => setAll(!all)}>
      ${all ? `Show the first ${SHOWN_FIRST}` : `Show all ${rows.length}`}</button>`}`;
}

/** The sign of A. */
export const Disc = () => html`<svg class="paired sign" aria-hidden="true" width="12" height="12"><circle cx="6" cy="6" r="4.5" /></svg>`;
/** The sign of B. */
export const Square = () => html`<svg class="paired sign" aria-hidden="true" width="12" height="12"><rect x="2" y="2" width="8" height="8" /></svg>`;
