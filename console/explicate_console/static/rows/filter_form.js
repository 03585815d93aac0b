// What of a folder is chosen: a condition, a text to search for, rows with an answer or those that failed.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { count } from "/static/format.js";
import { both, columnName, kindOfType, quoted } from "/static/rows/conditions.js";

/** The form, with the count of chosen rows below it. */
export default function FilterForm({ folder, state, go, page }) {
  const [filter, setFilter] = useState(state.filter);
  const [search, setSearch] = useState(state.search);
  const submit = (event) => { event?.preventDefault(); go({ filter: filter.trim(), search, row: "" }); };
  const { error } = page;
  const inFilter = error?.violations?.[0]?.field === "filter";
  return html`<form class="rows-filter" onSubmit=${submit} role="search" aria-label="Choose rows">
    <label class="rows-condition">Filter
      <input type="text" value=${filter} onInput=${(event) => setFilter(event.target.value)} spellcheck="false" autocapitalize="off" autocomplete="off"
        placeholder=${examples(folder)[0]} aria-invalid=${inFilter} aria-describedby="rows-filter-error" dir="auto" maxlength="4000" /></label>
    <label class="rows-search">Text in any column
      <input type="search" value=${search} onInput=${(event) => setSearch(event.target.value)} dir="auto" maxlength="200" /></label>
    <label class="rows-which">Rows
      <select value=${state.failed ? "failed" : "answered"} onChange=${(event) => go({ failed: event.target.value === "failed", sort: "", filter: "", search: "" })}>
        <option value="answered">with an answer (${count(folder.rows)})</option>
        <option value="failed" disabled=${!folder.failed}>that failed (${count(folder.failed)})</option></select></label>
    <div class="rows-buttons"><button class="primary">Show</button>
      ${(state.filter || state.search) && html`<button type="button" onClick=${() => go({ filter: "", search: "" })}>Show all</button>`}</div>
    <div id="rows-filter-error" class="rows-error" role="alert">${error && html`<${Refused} error=${error} text=${inFilter ? state.filter : ""} />`}</div>
    <${Help} folder=${folder} state=${state} use=${(text) => setFilter(both(filter, text))} />
    <p class="rows-count" role="status"><${Count} page=${page} state=${state} /></p>
  </form>`;
}

function Count({ page, state }) {
  const { answer, busy, error } = page;
  if (error) return "No rows are chosen.";
  if (!answer) return "Counting";
  const kind = state.failed ? "rows that failed" : "rows";
  const told = answer.total === answer.of ? `All ${count(answer.of)} ${kind}` : `${count(answer.total)} of ${count(answer.of)} ${kind}`;
  return html`<strong>${told}</strong>${busy ? " · counting again" : ""}`;
}

/** A refusal, with the filter below it and a mark under the place that is wrong. */
function Refused({ error, text }) {
  const isPlaced = text !== "" && Number.isInteger(error.at);
  const from = Math.max(0, (error.at ?? 0) - 60);
  const marked = isPlaced && `${text.replaceAll(/\s/g, " ").slice(from, from + 120)}\n${" ".repeat(error.at - from)}^`;
  return html`<p dir="auto">${error.message}</p>${isPlaced && html`<pre aria-hidden="true">${marked}</pre>`}`;
}

/** Conditions that make sense for this folder. */
export function examples(folder) {
  const comparable = folder.columns.map((each) => ({ ...each, kind: kindOfType(each.type) }));
  const own = comparable.filter((each) => folder.kept.includes(each.name));
  const number = own.find((each) => each.kind === "number" && each.name !== "id") ?? own.find((each) => each.kind === "number");
  const label = folder.classLabels[0];
  const has = (name) => folder.columns.some((each) => each.name === name);
  const first = number && `${columnName(number.name)} > 40`;
  const labelled = has("label") && label !== undefined && `label = ${quoted(label)}`;
  return [
    [first, labelled].filter(Boolean).join(" and "),
    has("probability") && "probability < 0.6",
    has("value") && "value > 0",
    has("probabilities") && label !== undefined && `p[${quoted(label)}] > 0.3`,
    folder.features.length && `${columnName(`added.${folder.features[0]}`)} > 0.1`,
    has("widest") && "widest > 0.05",
    has("stop_reason") && "stop_reason != \"exact\"",
    number && `${columnName(number.name)} is null`,
  ].filter(Boolean);
}

function Help({ folder, state, use }) {
  const columns = state.failed ? folder.failedColumns : folder.columns;
  const own = columns.filter((each) => kindOfType(each.type) && !/^(added|width)\./.test(each.name));
  const isExplained = !state.failed && folder.explained;
  return html`<details class="rows-help"><summary>Examples and columns</summary>
    ${!state.failed && html`<p>Add one by a click, then change it:</p>
      <ul class="rows-examples">${examples(folder).map((text) => html`<li><button type="button" onClick=${() => use(text)}><code dir="auto">${text}</code></button></li>`)}</ul>`}
    <p>Compare with <code>=</code>, <code>!=</code>, <code>${"<"}</code>, <code>${"<="}</code>, <code>${">"}</code>, <code>${">="}</code>, <code>in ("a", "b")</code>, <code>is null</code>;
      join with <code>and</code>, <code>or</code>, <code>not</code> and brackets. Texts are in quotes. A column with spaces is in <code>${"`backquotes`"}</code>.</p>
    ${isExplained && html`<dl>
      <dt><code>added.NAME</code></dt><dd>What the feature NAME adds to the explained output of a row${folder.features.length ? html`: ${folder.features.slice(0, 12).map((name, place) => html`${place ? ", " : ""}<bdi dir="auto">${name}</bdi>`)}${folder.features.length > 12 ? ", …" : ""}` : ", such as a word"}.</dd>
      ${columns.some((each) => each.name === "widest") && html`<dt><code>width.NAME</code></dt><dd>The half width of its interval: how far the figure may be off.</dd>
      <dt><code>widest</code></dt><dd>The largest half width of a row.</dd>`}
      <dt><code>p["CLASS"]</code></dt><dd>The probability of a class.</dd></dl>`}
    <div class="wide rows-columns" tabindex="0" role="group" aria-label="Columns"><table><thead><tr><th scope="col">column</th><th scope="col">holds</th></tr></thead>
      <tbody>${own.slice(0, 200).map((each) => html`<tr><td dir="auto">${each.name}</td><td>${kindOfType(each.type)}</td></tr>`)}</tbody></table></div>
  </details>`;
}
