// A row of a table: a control for each column of the model's schema, and a place to paste a whole row.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import CellField from "/static/forms/cell_field.js";
import { cellPath, typicalCells } from "/static/forms/cells.js";
import { columnsOf } from "/static/forms/model_info.js";
import { readRow } from "/static/forms/pasted_row.js";

const FEW_PASSED_OVER = 5;

function toldOf({ cells, passedOver, problem }) {
  if (problem) return problem;
  const count = Object.keys(cells).length;
  const left = passedOver.length ? ` Passed over, since the model does not read it: ${passedOver.slice(0, FEW_PASSED_OVER).join(", ")}${passedOver.length > FEW_PASSED_OVER ? ", …" : ""}.` : "";
  return `${count} ${count === 1 ? "column is" : "columns are"} filled in.${left}`;
}

function Pasted({ columns, onCells }) {
  const [text, setText] = useState("");
  const [told, setTold] = useState("");
  const read = (pasted) => {
    setText(pasted);
    if (!pasted.trim()) return setTold("");
    const row = readRow(pasted, columns);
    setTold(toldOf(row));
    if (!row.problem) onCells(row.cells);
    return undefined;
  };
  return html`<details class="pasted"><summary>Paste a row</summary>
    <label>CSV with its heading, or a JSON object
      <textarea rows="3" dir="auto" spellcheck=${false} value=${text} onInput=${(event) => read(event.target.value)}
        placeholder=${columns.slice(0, 3).map((each) => each.name).join(",")}></textarea></label>
    <p class="hint" role="status" dir="auto">${told}</p>
  </details>`;
}

/**
 * @param {{info: object, value: {cells: object}, onChange: Function, errors?: object[], pathOf?: Function}} props
 * `pathOf` gives the path of a column's cell as the server names it.
 */
export default function RowForm({ info, value, onChange, errors, pathOf = cellPath }) {
  const columns = columnsOf(info);
  const typical = typicalCells(columns, info.typicalValues);
  const cells = value.cells;
  const setCells = (changed) => onChange({ ...value, cells: Object.assign(Object.create(null), cells, changed) });
  const empty = columns.filter((each) => (cells[each.name] ?? "") === "" && cells[each.name] !== null);
  const known = empty.filter((each) => each.name in typical);
  const fill = (chosen, valueOf) => setCells(Object.fromEntries(chosen.map((each) => [each.name, valueOf(each.name)])));
  return html`
    <${Pasted} columns=${columns} onCells=${setCells} />
    <div class="cells">${columns.map((column) => html`<${CellField} key=${column.name} column=${column} path=${pathOf(column.name)}
      value=${cells[column.name] === undefined ? "" : cells[column.name]} typical=${typical[column.name]} errors=${errors}
      onValue=${(given) => setCells({ [column.name]: given })} />`)}</div>
    <p class="row-tools">
      ${info.typicalValues && html`<button type="button" disabled=${!known.length} onClick=${() => fill(known, (name) => typical[name])}>Fill in typical values</button>`}
      <button type="button" disabled=${!empty.length} onClick=${() => fill(empty, () => null)}>Call what is empty missing</button></p>
    ${info.typicalValues && html`<p class="hint">What is typical is each column’s own median or most frequent value among the model’s background rows.
      Together they are nobody’s row, and where columns depend on each other no usual one.</p>`}`;
}
