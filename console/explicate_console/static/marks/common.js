// What the marks share: their style sheet, a figure with its interval, a track with bar and whisker, an axis.
import { html, useRef } from "/static/vendor/htm-preact-standalone.js";
import { cell, halfWidth, interval, number } from "/static/format.js";
import { useStyle } from "/static/styles.js";
import { membersText } from "/static/marks/held.js";
import { begun, direction, doubt, placesBySize, tickText } from "/static/marks/scales.js";

await useStyle("/static/marks/marks.css");

const LONG = 48; // characters of a name in a line; what is longer can be opened

/** What an item does, in words for a screen reader and a tooltip: "adds +0.123; 0.95 interval +0.100 to +0.146". */
export function told(item, answer) {
  if (item.value === null) return "not known yet";
  const figure = number(item.value, answer.decimals);
  const said = { sure: "", unsure: "; it may be nothing, or the other way", unknown: "; how sure it is, is not known" }[doubt(item)];
  if (!item.hasInterval) return `${figure}${said}`;
  const exact = item.upper - item.lower === 0;
  if (exact) return `${figure}, exact`;
  return `${figure}, ${answer.confidence ?? ""} interval ${interval(item, answer.decimals)}${said}`;
}

/** What that means, as a sentence: "raises “great” by ...". */
export function meaning(item, answer, output) {
  const { name } = answer.outputs[output];
  if (item.value === null) return "Nothing is known of it yet.";
  if (item.value === 0) return `It changes nothing about “${name}”.`;
  const unit = { probability: "the probability of ", logit: "the logit of " }[answer.space] ?? "";
  const verb = item.value > 0 ? "raises" : "lowers";
  if (doubt(item) === "unsure") return `Its interval holds 0: whether it raises or lowers ${unit}“${name}” is not certain.`;
  return `It ${verb} ${unit}“${name}”${doubt(item) === "unknown" ? "; how sure that is, is not known." : "."}`;
}

/** A figure whose sign has the same width whether it raises or lowers, so that the digits stay where they are. */
export function Signed({ text }) {
  return html`<span class="mark-value"><span class="mark-sign">${text[0]}</span>${text.slice(1)}</span>`;
}

/** A value with its sign; dashed below where the interval holds 0, and said so. */
export function Figure({ item, answer, half = true }) {
  const state = item.value === null ? "" : doubt(item);
  return html`<span class=${`mark-figure ${state}`}>
    <${Signed} text=${number(item.value, answer.decimals)} />
    ${half && html` <span class="mark-half">${item.value === null ? "" : halfWidth(item, answer.decimals)}</span>`}
    ${state === "unsure" && html`<span class="mark-said">, unsure: the interval holds 0</span>`}
    ${state === "unknown" && html`<span class="mark-said">, no interval</span>`}
  </span>`;
}

/** A name from the input or the model: in its own direction; a long one is cut, and opens to the whole. */
export function Name({ text, quoted = false }) {
  const [start, whole] = begun(text, LONG);
  const shown = text.trim() === "" ? "␣" : start;
  if (whole) return html`<bdi class=${`mark-name${quoted ? " quoted" : ""}`} dir="auto" title=${text}>${shown}</bdi>`;
  return html`<details class="mark-long"><summary title="Show all of it"><bdi class="mark-name" dir="auto">${shown}…</bdi></summary>
    <bdi class="mark-whole" dir="auto" tabindex="0">${text}</bdi></details>`;
}

/** The values of a column, or of a group of columns. */
export function cellText(item) {
  const held = Object.entries(item.cells ?? {});
  if (held.length === 1) return cell(held[0][1]);
  return held.map(([column, value]) => `${column}: ${cell(value)}`).join(", ");
}

/** A bar from one value to another with the whisker of an interval, in a track whose scale is `at`. */
export function Track({ at, item, from = 0, to = item.value, zero = 0, links = null, children = null }) {
  const [left, right] = [Math.min(at(from), at(to ?? from)), Math.max(at(from), at(to ?? from))];
  const whisker = item.hasInterval && item.value !== null && item.upper > item.lower ? [at(from + item.lower), at(from + item.upper)] : null;
  return html`<svg class="mark-track" aria-hidden="true" focusable="false">
    ${zero !== null && html`<line class="mark-zero" x1=${percent(at(zero))} x2=${percent(at(zero))} y1="-10%" y2="110%" />`}
    ${children}
    <rect class=${`mark-bar ${direction(item.value)} ${doubt(item)}`} x=${percent(left)} width=${percent(Math.max(right - left, 0))} y="22%" height="56%" />
    ${whisker && html`<g class="mark-whisker">
      <line x1=${percent(whisker[0])} x2=${percent(whisker[1])} y1="50%" y2="50%" />
      <line x1=${percent(whisker[0])} x2=${percent(whisker[0])} y1="32%" y2="68%" />
      <line x1=${percent(whisker[1])} x2=${percent(whisker[1])} y1="32%" y2="68%" /></g>`}
    ${links !== null && html`<line class="mark-link" x1=${percent(at(links))} x2=${percent(at(links))} y1="78%" y2="122%" />`}
  </svg>`;
}

export const percent = (value) => `${Math.round(value * 1000) / 1000}%`;

/** Ticks with round numbers over or under tracks of the same scale. */
export function Axis({ at, values }) {
  return html`<svg class="mark-axis" aria-hidden="true" focusable="false">
    ${values.map((value) => html`<line x1=${percent(at(value))} x2=${percent(at(value))} y1="0" y2="5" />
      <text class="numeral" x=${percent(at(value))} y="17" text-anchor=${anchor(at(value))}>${tickText(value)}</text>`)}
  </svg>`;
}

const anchor = (place) => (place < 3.5 ? "start" : place > 96.5 ? "end" : "middle");

/**
 * Places of the items by size. While a stream grows the order is that of the first estimate, so that nothing moves; the
 * last answer sorts anew.
 */
export function usePlaces(answer, items) {
  const kept = useRef(null);
  const known = items.some((item) => item.value !== null);
  const same = kept.current && kept.current.length === items.length && kept.current.names === items.map(({ name }) => name).join("\n");
  if (same && !answer.final && kept.current.running) return kept.current;
  const places = placesBySize(items);
  if (known) {
    kept.current = Object.assign([...places], { names: items.map(({ name }) => name).join("\n"), running: !answer.final });
  }
  return places;
}

/** What the colours and lines of a mark mean. */
export function Key({ answer, unsure = "dashed" }) {
  return html`<p class="mark-key"><span><span class="mark-swatch raises"></span>raises</span>
    <span><span class="mark-swatch lowers"></span>lowers</span>
    <span><span class="mark-dashed">${unsure}</span> the ${answer.confidence ?? ""} interval holds 0, or is not known</span></p>`;
}

/** A table of bars. heads: [{title, axis, isSaid, className}], one a column, isSaid: told, but not shown; on narrow pages each row takes two lines. */
export function Table({ caption, heads, className = "", children }) {
  return html`<table class=${`mark-table ${className}`} role="table">
    <caption class="mark-said">${caption}</caption>
    <thead role="rowgroup"><tr role="row">${heads.map(({ title, axis, isSaid, className: name }) => html`<th role="columnheader" scope="col" class=${name}>
      ${axis && html`<${Axis} at=${axis.at} values=${axis.values} />`}<span class=${axis || isSaid ? "mark-said" : ""}>${title}</span></th>`)}</tr></thead>
    <tbody role="rowgroup">${children}</tbody></table>`;
}

/** A row of such a table: its heading, then [content, className] for each further cell. */
export function Row({ head, cells, className = "" }) {
  return html`<tr role="row" class=${className}><th role="rowheader" scope="row" class="mark-head">${head}</th>
    ${cells.map(([content, name]) => html`<td role="cell" class=${name}>${content}</td>`)}</tr>`;
}

/** The name of an item, and beside it what a column holds. */
export function Part({ item }) {
  const beside = cellText(item) || membersText(item);
  return html`<span class="mark-part"><${Name} text=${item.name} />${beside && html`<bdi class="mark-beside" dir="auto" title=${beside}>${beside}</bdi>`}</span>`;
}

/** A button for what is not shown of a long list; nothing where all is shown anyway. */
export function More({ hidden, all, toggle }) {
  if (hidden <= 0 && !all) return null;
  return html`<button class="mark-more" aria-expanded=${all} onClick=${toggle}>${all ? "Show fewer" : `Show the other ${hidden}`}</button>`;
}

/** Room for what only the last answer of a stream brings, so that nothing moves when it comes. */
export function Awaited({ title, rows }) {
  return html`<div role="group" class="mark" aria-label=${title} aria-busy="true"><div class="mark-awaited" style=${{ "--rows": rows }}><h3>${title}</h3>
    <p class="mark-quiet">It comes with the last estimate.</p></div></div>`;
}
