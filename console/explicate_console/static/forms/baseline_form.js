// What an explanation is set against: a group of rows or another row, a colour or another picture, another text.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { COLOUR_PATH, NAME_PATH, PICTURE_PATH, otherCellPath, standIn } from "/static/forms/baseline.js";
import { cellsOf, sameCells } from "/static/forms/cells.js";
import { Field } from "/static/forms/field.js";
import { columnsOf, kindOf } from "/static/forms/model_info.js";
import { Later } from "/static/later.js";

const PATH = "options.baseline";

/** Buttons that take a row that is on the page already. @param {{from: {name: string, cells: object}[]}} props */
function Copies({ columns, cells, from, onCells }) {
  const whole = from.filter((each) => each.cells && columns.every(({ name }) => name in each.cells));
  const other = whole.filter((each, at) => !whole.slice(0, at).some((before) => sameCells(columns, each.cells, before.cells)));
  if (!other.length) return null;
  return html`<p class="row-tools">${other.map((each) => html`<button type="button" disabled=${sameCells(columns, each.cells, cells)}
    onClick=${() => onCells(cellsOf(columns, each.cells))}>Copy ${each.name}</button> `)}</p>`;
}

function OtherRow({ info, value, set, errors, rows }) {
  const columns = columnsOf(info);
  const cells = cellsOf(columns, value.baselineRow);
  const onCells = (changed) => set({ baselineRow: changed });
  const input = rows[0]?.cells;
  const differing = columns.filter(({ name }) => cells[name] !== "" && cells[name] !== input?.[name]).length;
  return html`<details class="another wide-field" open><summary>The other row${input ? html`<span class="hint">, ${differing} of ${columns.length} columns ${differing === 1 ? "differs" : "differ"} from the input</span>` : ""}</summary>
    <div role="group" aria-label="The other row">
      <${Copies} columns=${columns} cells=${cells} from=${rows} onCells=${onCells} />
      <${Later} module="/static/forms/row_form.js" info=${info} value=${{ cells }} errors=${errors} pathOf=${otherCellPath} onChange=${(changed) => onCells(changed.cells)} />
    </div></details>`;
}

function RowBaseline(props) {
  const { info, value, set, errors } = props;
  const groups = info.bundle.tabular.baselines ?? [];
  const by = standIn("row", value);
  const strange = by === "name" && !groups.some((each) => each.name === value.baseline);
  const choose = (chosen) => set(chosen === "row" ? { baselineBy: "row", baseline: "" } : { baselineBy: "name", baseline: chosen.slice("name:".length) });
  const own = (errors ?? []).filter(({ field }) => field === PATH || field === NAME_PATH);
  return html`<${Field} path=${PATH} inside errors=${own} label="Compared with" hint="the rows whose values stand in for what is left out">${(attributes) => html`
      <select ...${attributes} value=${by === "row" ? by : `name:${value.baseline ?? ""}`} dir="auto" onChange=${(event) => choose(event.target.value)}>
        <option value="name:" selected=${!by}>default: typical rows</option>
        ${groups.map((each) => html`<option value=${`name:${each.name}`} selected=${by === "name" && each.name === value.baseline}>${each.name}${each.of ? ` (${each.of})` : ""}</option>`)}
        ${strange && html`<option value=${`name:${value.baseline}`} selected>${value.baseline} (not a group of this model)</option>`}
        <option value="row" selected=${by === "row"}>another row …</option></select>`}<//>
    ${by === "row" && html`<${OtherRow} ...${props} />`}`;
}

function ImageBaseline({ info, value, set, errors }) {
  const by = standIn("image", value);
  const choose = (chosen) => set(chosen ? { baselineBy: chosen } : { baselineBy: "", baseline: "" });
  return html`<${Field} path=${PATH} errors=${errors} label="What is left out shows" hint=${by ? "" : "as the option above says"}>${(attributes) => html`
      <select ...${attributes} value=${by} onChange=${(event) => choose(event.target.value)}>
        ${[["", "default"], ["colour", "a colour"], ["picture", "another picture …"]].map(([name, words]) => html`<option value=${name} selected=${name === by}>${words}</option>`)}</select>`}<//>
    ${by === "colour" && html`<${Field} path=${COLOUR_PATH} errors=${errors} label="Colour" hint="such as #ff8800">${(attributes) => html`
      <input ...${attributes} type="text" autocomplete="off" size="12" value=${value.baseline ?? ""} onInput=${(event) => set({ baselineBy: "colour", baseline: event.target.value })} />`}<//>`}
    ${by === "picture" && html`<div class="another wide-field" role="group" aria-label="The other picture">
      <${Later} module="/static/forms/image_form.js" info=${info} value=${{ image: value.baselineImage ?? null }} errors=${errors} path=${PICTURE_PATH} label="Other picture" pastes=${false}
        onChange=${({ image }) => set({ baselineBy: "picture", baselineImage: image })} />
      <p class="hint">A part that is left out shows what this picture has there; it is made ready as the input is.</p></div>`}`;
}

function TextBaseline({ kind, value, set, errors }) {
  return html`<${Field} path=${PATH} inside errors=${errors} wide label=${kind === "pair" ? "Compared with another pair: first text" : "Compared with another text"}
      hint="where they differ, its words stand in; leave it empty for none">${(attributes) => html`
      <textarea ...${attributes} rows="2" dir="auto" spellcheck=${false} value=${value.baseline ?? ""} onInput=${(event) => set({ baselineBy: "text", baseline: event.target.value })}></textarea>`}<//>
    ${kind === "pair" && html`<${Field} path="options.baseline.text.text_pair" errors=${errors} wide label="Second text of that pair">${(attributes) => html`
      <textarea ...${attributes} rows="2" dir="auto" spellcheck=${false} value=${value.baselinePair ?? ""} onInput=${(event) => set({ baselinePair: event.target.value })}></textarea>`}<//>`}`;
}

/**
 * @param {{info: object, value: object, set: Function, errors?: object[], rows?: {name: string, cells: object}[]}} props
 * `rows` are rows on the page that another row may be copied from, the input first.
 */
export default function BaselineField({ rows = [], ...given }) {
  const kind = kindOf(given.info);
  if (kind === "row") return html`<${RowBaseline} ...${given} rows=${rows} />`;
  return kind === "image" ? html`<${ImageBaseline} ...${given} />` : html`<${TextBaseline} kind=${kind} ...${given} />`;
}
