// A page of rows as a table that can be sorted, with a way to the pages before and after.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { cell, count, number, plainNumber, share, valueText } from "/static/format.js";
import { kindOfType } from "/static/rows/conditions.js";

const MOST_COLUMNS = 8;

/** The chosen rows, `size` at a time. */
export default function RowTable({ folder, state, go, page, size }) {
  const { answer, busy } = page;
  const rows = answer?.rows ?? [];
  const columns = state.failed ? failedColumns(folder, rows) : answeredColumns(folder);
  const hidden = state.failed ? 0 : Math.max(folder.kept.length - MOST_COLUMNS, 0);
  return html`<section class="rows-list" aria-labelledby="rows-list-title">
    <div class="rows-list-head"><h2 id="rows-list-title">${state.failed ? "Rows that failed" : "Rows"}</h2>
      <${SortChoice} folder=${folder} state=${state} go=${go} /></div>
    <div class="wide rows-box" tabindex="0" role="group" aria-label="Table of rows" aria-busy=${busy}>
      <table class="rows-table"><thead><tr><th scope="col">row</th>${columns.map((each) => html`<${Heading} column=${each} state=${state} go=${go} />`)}</tr></thead>
        <tbody>${rows.map((row) => html`<tr key=${row.id} class=${row.id === state.row ? "rows-open" : ""}>
          <th scope="row">${state.failed ? count(row.row) : html`<button class="rows-row" onClick=${() => go({ row: row.id })} aria-label=${`Row ${row.row}: show it in full`}>${count(row.row)}</button>`}</th>
          ${columns.map((each) => html`<td class=${each.number ? "number" : ""} dir="auto">${each.show(row)}</td>`)}</tr>`)}</tbody></table>
      ${answer && !rows.length && html`<p class="quiet rows-none">No row fits. Make the filter wider, or show all.</p>`}
    </div>
    <${Pages} answer=${answer} size=${size} go=${go} />
    ${hidden > 0 && html`<p class="quiet">${hidden} more ${hidden === 1 ? "column is" : "columns are"} shown with each row in full.</p>`}
    <p class="quiet">“row” counts the rows of the input from 0, as it was read by <code>explicate score</code>.</p>
  </section>`;
}

const cut = (text) => html`<span class="rows-cell" title=${String(text).length > 24 ? text : undefined}>${text}</span>`;

function answeredColumns(folder) {
  const has = (name) => folder.columns.some((each) => each.name === name);
  const type = (name) => folder.columns.find((each) => each.name === name)?.type ?? "";
  const found = folder.kept.slice(0, MOST_COLUMNS).map((name) => ({
    name, title: name, sort: kindOfType(type(name)) ? name : "", number: kindOfType(type(name)) === "number", show: (row) => cut(cell(row.cells[name])),
  }));
  if (has("label")) found.push({ title: "predicted", sort: "label", show: (row) => cut(row.prediction.label) });
  if (has("labels")) found.push({ title: "predicted", sort: "", show: (row) => cut((row.prediction.labels ?? []).join(", ") || "none") });
  if (has("probability")) found.push({ title: "probability", sort: "probability", number: true, show: (row) => share(row.prediction.probability) });
  if (has("value")) found.push({ title: "value", sort: "value", number: true, show: (row) => valueText(row.prediction.value) });
  if (folder.explained) {
    found.push({ title: "adds most", sort: "", show: (row) => html`<${Strongest} items=${row.strongest ?? []} />` });
    found.push({ title: "end", sort: "stop_reason", show: (row) => row.stopReason ?? "not explained" });
  }
  return found;
}

function failedColumns(folder, rows) {
  const names = Object.keys(rows[0]?.cells ?? {});
  return names.slice(0, MOST_COLUMNS + 3).map((name) => ({ name, title: name, sort: name, show: (row) => cut(cell(row.cells[name])) }));
}

function Strongest({ items }) {
  return html`<span class="rows-strongest">${items.map((item) => html`<span><bdi dir="auto">${item.feature}</bdi> <span class=${item.value > 0 ? "rows-raises" : "rows-lowers"}>${number(item.value)}</span>${half(item)}</span>`)}</span>`;
}

function half(item) {
  if (item.lower === null || item.upper === null) return "";
  const width = (item.upper - item.lower) / 2;
  return width > 0 ? html` <span class="quiet">± ${plainNumber(width)}</span>` : "";
}

function Heading({ column, state, go }) {
  const sorted = column.sort && state.sort === column.sort;
  const order = sorted ? (state.descending ? "descending" : "ascending") : undefined;
  const next = () => (sorted && state.descending ? { sort: "", descending: false } : { sort: column.sort, descending: sorted });
  return html`<th scope="col" class=${column.number ? "number" : ""} aria-sort=${order}>${column.sort
    ? html`<button class="rows-sort" onClick=${() => go(next())}><bdi dir="auto" class="rows-cell">${column.title}</bdi><span aria-hidden="true">${sorted ? (state.descending ? " ↓" : " ↑") : ""}</span></button>`
    : html`<bdi dir="auto">${column.title}</bdi>`}</th>`;
}

/** Every order that there is, also those without a column of the table. */
function SortChoice({ folder, state, go }) {
  const columns = state.failed ? folder.failedColumns : folder.columns;
  const names = columns.filter((each) => kindOfType(each.type)).map((each) => each.name);
  if (state.sort && !names.includes(state.sort)) names.push(state.sort);
  return html`<div class="rows-order"><label>Sort by<select value=${state.sort} onChange=${(event) => go({ sort: event.target.value })}>
      <option value="">the order of the input</option>${names.slice(0, 400).map((name) => html`<option value=${name}>${orderName(name)}</option>`)}</select></label>
    <label class="rows-check"><input type="checkbox" checked=${state.descending} disabled=${!state.sort} onChange=${(event) => go({ descending: event.target.checked })} />largest first</label></div>`;
}

function orderName(name) {
  if (name.startsWith("added.")) return `what ${name.slice(6)} adds`;
  if (name.startsWith("width.")) return `half width of ${name.slice(6)}`;
  return name === "widest" ? "largest half width of a row" : name;
}

function Pages({ answer, size, go }) {
  const total = answer?.total ?? 0;
  const start = answer?.start ?? 0;
  const end = Math.min(start + size, total);
  const last = Math.max(0, Math.floor((total - 1) / size) * size);
  return html`<nav class="rows-pages" aria-label="Pages of rows">
    <button disabled=${start === 0} onClick=${() => go({ start: 0 })}>First</button>
    <button disabled=${start === 0} onClick=${() => go({ start: Math.max(0, start - size) })}>Before</button>
    <span role="status">${total ? `${count(start + 1)} to ${count(end)} of ${count(total)}` : "no rows"}</span>
    <button disabled=${end >= total} onClick=${() => go({ start: start + size })}>Next</button>
    <button disabled=${end >= total} onClick=${() => go({ start: last })}>Last</button></nav>`;
}
