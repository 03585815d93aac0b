// The control of one column: a number with its unit, a category, true or false, or a date; each may be missing.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { cellPath, isMeasured } from "/static/forms/cells.js";
import { Field } from "/static/forms/field.js";

const TYPES = {
  COLUMN_TYPE_NUMBER: "number", COLUMN_TYPE_CATEGORY: "category", COLUMN_TYPE_BOOLEAN: "true or false",
  COLUMN_TYPE_ORDINAL: "category in an order", COLUMN_TYPE_DATE: "date",
};

const typically = (typical) => `typically ${typical === null ? "missing" : typical}`;

function hintOf(column, typical) {
  const unit = column.numberNotation?.unit;
  const notation = column.numberNotation && `decimal mark “${column.numberNotation.decimal || "."}”`;
  const parts = [TYPES[column.type] ?? "value", unit && `in ${unit}`, notation, column.group && `explained together as ${column.group}`];
  if (column.type === "COLUMN_TYPE_DATE" && typical !== undefined) parts.push(typically(typical)); // where nothing can be shown in the field
  if (column.monotone) parts.push(`the answer never ${column.monotone.decreasing ? "rises" : "falls"} as it rises`);
  return parts.filter(Boolean).join(", ");
}

function NumberControl({ attributes, value, typical, onValue }) {
  return html`<input ...${attributes} type="text" inputmode="decimal" autocomplete="off" size="12" value=${value ?? ""}
    placeholder=${typical === undefined || value === null ? "" : typical === null ? "often missing" : `e.g. ${typical}`} disabled=${value === null} onInput=${(event) => onValue(event.target.value)} />`;
}

function DateControl({ attributes, column, value, onValue }) {
  const type = column.dateNotation?.time ? "datetime-local" : "date";
  return html`<input ...${attributes} type=${type} value=${value ?? ""} disabled=${value === null}
    onInput=${(event) => onValue(event.target.value.replace("T", " "))} />`;
}

const OTHER = "other";

function ChoiceControl({ attributes, column, value, typical, onValue }) {
  const categories = column.categories ?? [];
  const [free, setFree] = useState(false);
  const at = value === null ? -1 : categories.indexOf(value);
  const other = column.type !== "COLUMN_TYPE_BOOLEAN" && (free || (value && at < 0));
  const chosen = value === null ? "missing" : other ? OTHER : at >= 0 ? `known:${at}` : "";
  const choose = (event) => {
    const picked = event.target.value;
    setFree(picked === OTHER);
    if (picked === "missing") onValue(null);
    else if (picked === OTHER) onValue("");
    else if (picked) onValue(categories[Number(picked.slice("known:".length))]);
  };
  return html`<span class="choice">
    <select ...${attributes} value=${chosen} onChange=${choose}>
      ${chosen === "" && html`<option value="">choose${typical === undefined ? "" : `, ${typically(typical)}`}</option>`}
      ${categories.map((name, index) => html`<option value=${`known:${index}`} selected=${index === at && !other}>${name}</option>`)}
      ${column.type !== "COLUMN_TYPE_BOOLEAN" && html`<option value=${OTHER} selected=${other}>another one …</option>`}
      <option value="missing" selected=${value === null}>missing</option>
    </select>
    ${other && html`<input type="text" aria-label=${`${column.name}: another category`} dir="auto" value=${value ?? ""}
      placeholder="not known to the model" onInput=${(event) => onValue(event.target.value)} />`}
  </span>`;
}

/**
 * @param {{column: object, value: string|null, onValue: Function, typical?: string|null, errors?: object[], path?: string}} props
 * `typical` is shown where nothing is given yet.
 */
export default function CellField({ column, value, onValue, typical, errors, path = cellPath(column.name) }) {
  const control = (attributes) => {
    const given = { attributes, column, value, typical, onValue };
    if (!isMeasured(column)) return html`<${ChoiceControl} ...${given} />`;
    const Control = column.type === "COLUMN_TYPE_DATE" ? DateControl : NumberControl;
    return html`<span class="measured"><${Control} ...${given} />
      ${column.numberNotation?.unit && html`<span class="unit" aria-hidden="true">${column.numberNotation.unit}</span>`}
      <label class="missing"><input type="checkbox" checked=${value === null} aria-label=${`${column.name} is missing`}
        onChange=${(event) => onValue(event.target.checked ? null : "")} />missing</label></span>`;
  };
  return html`<${Field} path=${path} label=${column.name} hint=${hintOf(column, typical)} errors=${errors} inside>${control}<//>`;
}
