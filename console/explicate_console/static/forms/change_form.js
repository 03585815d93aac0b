// The search for a change: what the answer is to become, and what each column of a row may become for that.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { isMeasured } from "/static/forms/cells.js";
import { changePath } from "/static/forms/change_message.js";
import { Field } from "/static/forms/field.js";
import { classesOf, columnsOf, isMultiLabel, isRegression } from "/static/forms/model_info.js";
import { useStyle } from "/static/styles.js";

await useStyle("/static/parts/parts.css");

const OWN = ["columns", "absence", "keep_others", "max_evaluations"].map((name) => `options.change.${name}`);
const isOwn = ({ field }) => OWN.some((path) => field.startsWith(path));

function Goal({ info, value, set, errors }) {
  if (isRegression(info)) {
    return html`<${Field} path="options.change.value" label="Value to reach or to fall below" errors=${errors} hint=${info.bundle.targetName ?? ""}>${(attributes) => html`
      <input ...${attributes} type="text" inputmode="decimal" size="12" value=${value.changeTo ?? ""} onInput=${(event) => set({ changeTo: event.target.value })} />`}<//>`;
  }
  if (isMultiLabel(info)) return null;
  return html`<${Field} path="options.change" inside label="The answer is to become" errors=${(errors ?? []).filter((each) => !isOwn(each))}>${(attributes) => html`
    <select ...${attributes} value=${value.changeTo ?? ""} dir="auto" onChange=${(event) => set({ changeTo: event.target.value })}>
      <option value="" selected=${!value.changeTo}>any other class</option>
      ${classesOf(info).map((each) => html`<option value=${each} selected=${each === value.changeTo}>${each}</option>`)}</select>`}<//>`;
}

function Most({ value, set, errors }) {
  return html`<${Field} path="options.change.max_evaluations" label="Changes tried at most" errors=${errors} hint="each is a row through the model">${(attributes) => html`
    <input ...${attributes} type="text" inputmode="numeric" autocomplete="off" size="12" value=${value.changeMost ?? ""} placeholder="default: by the input" onInput=${(event) => set({ changeMost: event.target.value })} />`}<//>`;
}

function Check({ path, label, on, onValue, errors }) {
  return html`<div class="check-field"><${Field} path=${path} label=${label} errors=${errors}>${(attributes) => html`
    <input ...${attributes} type="checkbox" checked=${on} onChange=${(event) => onValue(event.target.checked)} />`}<//></div>`;
}

function End({ path, label, column, text, onText, errors, hint }) {
  const type = column.type === "COLUMN_TYPE_DATE" && hint === undefined ? (column.dateNotation?.time ? "datetime-local" : "date") : "text";
  return html`<${Field} path=${path} label=${label} errors=${errors} hint=${hint} inside>${(attributes) => html`
    <input ...${attributes} type=${type} inputmode=${type === "text" ? "decimal" : undefined} autocomplete="off" size="8" value=${text ?? ""} onInput=${(event) => onText(event.target.value.replace("T", " "))} />`}<//>`;
}

function Range({ column, choice, onChoice, errors }) {
  const path = `${changePath(column.name)}.range`;
  const end = (side, label, hint) => html`<${End} path=${`${path}.${side}`} label=${label} column=${column} text=${choice[side]} hint=${hint} errors=${errors} onText=${(text) => onChoice({ ...choice, [side]: text })} />`;
  return html`<div class="range">${end("low", "from")}${end("high", "to")}${end("step", "in steps of", column.type === "COLUMN_TYPE_DATE" ? "days" : "or typical values")}</div>`;
}

function Listed({ column, choice, onChoice, errors }) {
  const path = `${changePath(column.name)}.values`;
  const values = choice.values ?? [];
  const missing = html`<label class="check"><input type="checkbox" checked=${Boolean(choice.missing)} onChange=${(event) => onChoice({ ...choice, missing: event.target.checked })} />missing</label>`;
  if (isMeasured(column)) {
    return html`<${Field} path=${path} label="values" hint="separated by ;" errors=${errors} inside>${(attributes) => html`
      <input ...${attributes} type="text" autocomplete="off" value=${values.join(";")} onInput=${(event) => onChoice({ ...choice, values: event.target.value.split(";") })} />`}<//>${missing}`;
  }
  const pick = (name, on) => onChoice({ ...choice, values: on ? [...values, name] : values.filter((each) => each !== name) });
  return html`<div class="listed" role="group" aria-label=${`Values of ${column.name}`}>${(column.categories ?? []).map((name) => html`<label class="check" dir="auto">
    <input type="checkbox" checked=${values.includes(name)} onChange=${(event) => pick(name, event.target.checked)} /><span>${name}</span></label>`)}${missing}</div>`;
}

const KINDS = { kept: "keeps its value", range: "from a range", values: "one of some values" };

/** What is wrong at a column's choice itself, where no control below it shows that. */
function atChoice(errors, column, kind) {
  const path = changePath(column.name);
  const below = kind === "range" ? ["low", "high", "step"].map((end) => `${path}.range.${end}`) : kind === "values" && isMeasured(column) ? [`${path}.values`] : [];
  return (errors ?? []).filter(({ field }) => !below.some((each) => field.startsWith(each)));
}

function ColumnChoice({ column, choice, others, onChoice, errors }) {
  const kind = choice?.kind ?? "";
  const kinds = Object.entries(KINDS).filter(([name]) => name !== "range" || isMeasured(column));
  const chosen = (event) => onChoice(event.target.value ? { kind: event.target.value } : null);
  return html`<div class="column-choice"><${Field} path=${changePath(column.name)} label=${column.name} errors=${atChoice(errors, column, kind)} inside>${(attributes) => html`
      <select ...${attributes} value=${kind} onChange=${chosen}><option value="" selected=${!kind}>${others}</option>
        ${kinds.map(([name, text]) => html`<option value=${name} selected=${name === kind}>${text}</option>`)}</select>`}<//>
    ${kind === "range" && html`<${Range} column=${column} choice=${choice} onChoice=${onChoice} errors=${errors} />`}
    ${kind === "values" && html`<${Listed} column=${column} choice=${choice} onChoice=${onChoice} errors=${errors} />`}</div>`;
}

function Columns({ columns, value, set, errors }) {
  const held = value.changeColumns ?? {};
  const choose = (name) => (choice) => {
    const { [name]: _, ...rest } = held;
    set({ changeColumns: Object.assign(Object.create(null), rest, choice && { [name]: choice }) });
  };
  const others = value.changeKeepOthers ? "keeps its value, as all others" : "any typical value";
  const count = columns.filter(({ name }) => Object.hasOwn(held, name)).length;
  const [open] = useState(count > 0);
  return html`<${Check} path="options.change.keep_others" label="Columns that are not chosen below keep their values" on=${Boolean(value.changeKeepOthers)} errors=${errors} onValue=${(changeKeepOthers) => set({ changeKeepOthers })} />
    <details class="parts" open=${open}><summary>What each column may become ${count > 0 && html`<span class="hint">(${count} chosen)</span>`}</summary>
      <div class="cells">${columns.map((column) => html`<${ColumnChoice} key=${column.name} column=${column} choice=${Object.hasOwn(held, column.name) ? held[column.name] : null}
        others=${others} onChoice=${choose(column.name)} errors=${errors} />`)}</div></details>`;
}

/** @param {{info: object, value: object, set: Function, errors?: object[]}} props value are the options; set gets what changes of them */
export default function ChangeForm(props) {
  const { info, value, set, errors } = props;
  const columns = columnsOf(info);
  return html`<div class="cells"><${Goal} ...${props} /><${Most} ...${props} /></div>
    ${columns.length > 0 && html`<${Check} path="options.change.absence" label="Leave columns out, in place of giving them other values" on=${Boolean(value.changeAbsence)} errors=${errors} onValue=${(changeAbsence) => set({ changeAbsence })} />`}
    ${columns.length > 0 && !value.changeAbsence && html`<${Columns} columns=${columns} value=${value} set=${set} errors=${errors} />`}`;
}
