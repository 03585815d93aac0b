// The input of a model: a form made from the schema that GetModel tells, and the message that it becomes.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { cellPath, cellProblem, cellsOf, rowMessage } from "/static/forms/cells.js";
import { KIND_NAMES, columnsOf, kindOf, limitOf } from "/static/forms/model_info.js";
import RowForm from "/static/forms/row_form.js";
import { Later } from "/static/later.js";
import { playerProblems, playersMessage } from "/static/parts/players.js";
import TextForm, { textProblem } from "/static/forms/text_form.js";

// Each kind of input: its form, what it holds at first, its message, what is wrong with it, and what may be shared by a link.
const TEXT = {
  Form: TextForm,
  empty: (_info, before) => ({ text: before?.text ?? "", textPair: before?.textPair ?? "" }),
  message: (info, value) => ({ text: info.bundle.text.pairs ? { text: value.text, textPair: value.textPair } : { text: value.text } }),
  problems: (info, value) => {
    const most = limitOf(info, "maxTextBytes");
    const found = [{ field: "input.text", description: textProblem(value.text, most) }];
    if (info.bundle.text.pairs) found.push({ field: "input.text.text_pair", description: textProblem(value.textPair, most) });
    return found;
  },
};

const ROW = {
  Form: RowForm,
  empty: (info, before) => ({ cells: cellsOf(columnsOf(info), before?.cells) }),
  message: (info, value) => ({ tabular: rowMessage(columnsOf(info), value.cells) }),
  problems: (info, value) => columnsOf(info).map((column) => ({ field: cellPath(column.name), description: cellProblem(column, value.cells[column.name]) })),
};

const IMAGE = {
  Form: (given) => html`<${Later} module="/static/forms/image_form.js" ...${given} />`,
  empty: (_info, before) => ({ image: before?.image ?? null }),
  message: (_info, value) => ({ image: { content: value.image.base64 } }),
  problems: (_info, value) => [{ field: "input.image.content", description: value.image ? value.image.problem : "is left out; choose, drop or paste a picture" }],
};

const KINDS = { text: TEXT, pair: TEXT, row: ROW, image: IMAGE };

/** What the form of a model holds at first; what `before` has of the same fields stays. */
export const emptyInput = (info, before) => KINDS[kindOf(info)]?.empty(info, before) ?? {};

/** The Input message of what the form holds. */
export const inputMessage = (info, value) => KINDS[kindOf(info)].message(info, value);

/** What is wrong with the input, as violations in the server's words; empty if nothing is seen from here. */
export const inputProblems = (info, value) => [...KINDS[kindOf(info)].problems(info, value), ...playerProblems(info, value.players, value)].filter((each) => each.description);

/** What the options say of the parts that are chosen in the input: words of a text, boxes on a picture. */
export const inputPlayers = (info, value) => playersMessage(info, value.players, value);

/** Whether what is held is a form of this model, and not of another kind. */
export function fitsInput(info, value) {
  const kind = kindOf(info);
  if (kind === "row") return value?.cells !== undefined && columnsOf(info).every((column) => column.name in value.cells);
  return kind === "image" ? value?.image !== undefined : typeof value?.text === "string";
}

/** @param {{info: object, value: object, onChange: Function, errors?: object[], legend?: string}} props */
export default function InputForm({ info, value, onChange, errors, legend }) {
  const kind = KINDS[kindOf(info)];
  if (!kind) return html`<p class="notice bad" dir="auto">The manifest of this version cannot be read${info?.status?.reason ? `: ${info.status.reason}` : ""}. Choose another one.</p>`;
  if (!fitsInput(info, value)) return html`<p aria-busy="true">Loading</p>`;
  return html`<fieldset class="input-form"><legend>${legend ?? `Input: ${KIND_NAMES[kindOf(info)]}`}</legend>
    <${kind.Form} info=${info} value=${value} onChange=${onChange} errors=${errors} /></fieldset>`;
}
