// One row in full: its prediction, what each part adds with its interval, every column that went along.
import { html, useEffect, useMemo, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { call } from "/static/api.js";
import { cell, count } from "/static/format.js";
import Bars from "/static/marks/bars.js";
import Explained from "/static/marks/input.js";
import Prediction from "/static/marks/prediction.js";
import Waterfall from "/static/marks/waterfall.js";
import { notToConclude } from "/static/marks/wording.js";
import { readRow } from "/static/rows/row_answer.js";
import { useRows } from "/static/rows/rows_api.js";

/** A dialog at the side of the page. */
export default function RowPanel({ folder, name, close }) {
  const { answer, error } = useRows("row", { folder: folder.name, snapshot: folder.snapshot, row: name });
  const dialog = useRef(null);
  useEffect(() => { if (!dialog.current.open) dialog.current.showModal(); }, []);
  return html`<dialog class="rows-panel" ref=${dialog} aria-labelledby="rows-panel-title" onClose=${close} onCancel=${close}
      onClick=${(event) => { if (event.target === dialog.current) dialog.current.close(); }}>
    <div class="rows-panel-inner"><header><h2 id="rows-panel-title">${answer ? `Row ${count(answer.row)}` : "Row"}</h2><button autofocus onClick=${() => dialog.current.close()}>Close</button></header>
    ${error && html`<p class="notice bad" role="alert">${error.message}</p>`}
    ${answer ? html`<${Row} row=${answer} />` : !error && html`<p class="quiet" aria-busy="true">Reading the row</p>`}</div></dialog>`;
}

function Row({ row }) {
  const columns = useColumns(row);
  const answer = useMemo(() => readRow(row, columns), [row, columns]);
  const [output, setOutput] = useState(0);
  const { prediction } = row;
  return html`
    ${answer ? html`<${Prediction} answer=${answer} />` : html`<p>Predicted: <strong><bdi dir="auto">${prediction.label ?? prediction.labels?.join(", ") ?? cell(prediction.value)}</bdi></strong></p>
      <p class="quiet">This row was predicted and not explained.</p>`}
    ${answer && html`
      ${row.outputs.length > 1 && html`<label>Output<select value=${output} onChange=${(event) => setOutput(Number(event.target.value))}>
        ${row.outputs.map((each, place) => html`<option value=${place}>${each.label || "the output"}</option>`)}</select></label>`}
      <h3>What it was given, and what each part adds</h3>
      <${Explained} answer=${answer} output=${output} />
      ${row.outputs[output].items.every((item) => item.lower === null) && html`<p class="quiet">The run kept no intervals (wide attributions), so how sure these figures are is not known here. Open the row in Try to see it.</p>`}
      <h3>The parts by size</h3><${Bars} answer=${answer} output=${output} />
      <h3>From the average to this row</h3><${Waterfall} answer=${answer} output=${output} />
      <h3>What not to conclude</h3><ul>${notToConclude(answer).map((line) => html`<li>${line}</li>`)}</ul>`}
    <h3>All columns</h3><div class="wide" tabindex="0" role="group" aria-label="All columns"><table class="rows-all"><tbody>${Object.entries(row.cells).map(([name, value]) => html`<tr><th scope="row" dir="auto">${name}</th><td class="text" dir="auto">${cell(value)}</td></tr>`)}</tbody></table></div>
    <h3>How it was made</h3><dl class="rows-made"><dt>model</dt><dd><bdi dir="auto">${row.model.model}</bdi> version ${row.model.version}, on ${row.model.runtime}, ${row.model.precision}</dd>
      ${answer && html`<dt>method</dt><dd>${row.options.method ?? "auto"}, seed ${row.options.seed ?? 0}</dd><dt>evaluations</dt><dd>${count(row.evaluations)}</dd><dt>end</dt><dd>${row.stopReason}</dd>`}
      <dt>bundle</dt><dd><code class="rows-digest">${row.model.digest}</code></dd></dl>
    <${TryIt} row=${row} />`;
}

/** The model's columns, where a feature of the row is not one of them but a group; none if the server does not have it. */
function useColumns(row) {
  const [columns, setColumns] = useState([]);
  const isGrouped = row.kind === "tabular" && row.outputs.some((each) => each.items.some((item) => !(item.feature in row.input)));
  useEffect(() => { if (isGrouped) columnsOf(row).then(setColumns, () => setColumns([])); }, [row.id]);
  return columns;
}

async function columnsOf(row) {
  const { models } = await call("ModelService/ListModels", {});
  const { model, version } = row.model;
  if (!models?.some((each) => each.model === model && each.version === version)) return [];
  const found = await call("ModelService/GetModel", { model, version });
  return (found.bundle?.tabular?.columns ?? []).map((each) => ({ name: each.name ?? "", group: each.group ?? "" }));
}

/** The way to Try with this input, taken only by a click: then the input is in the address. */
function TryIt({ row }) {
  const [trouble, setTrouble] = useState("");
  if (row.kind !== "text" && row.kind !== "tabular") return null;
  const open = async () => {
    const query = new URLSearchParams({ model: row.model.model, version: String(row.model.version) });
    try {
      if (row.kind === "text") {
        query.set("text", row.input.text ?? "");
        if (row.input.text_pair) query.set("pair", row.input.text_pair);
      } else query.set("row", JSON.stringify(await modelCells(row)));
      location.hash = `#/try?${query}`;
    } catch (error) { setTrouble(error.message); }
  };
  return html`<p><button onClick=${open}>Open this row in Try</button> <span class="quiet">Puts the input into the form there, and into the address; nothing is asked yet.</span></p>
    ${trouble && html`<p class="notice bad" role="alert">${trouble}</p>`}`;
}

async function modelCells(row) {
  const columns = await columnsOf(row);
  const names = columns.length ? columns.map((each) => each.name) : Object.keys(row.input);
  return Object.fromEntries(names.filter((name) => name in row.input).map((name) => [name, row.input[name]]));
}
