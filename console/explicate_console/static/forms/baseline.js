// What an explanation is set against, as the forms hold it: the message that it becomes, what is wrong with it, and its
// part of a link; without a page. A form holds `baseline` (a group's name, a colour or a text), `baselinePair`,
// `baselineBy` (which of them was chosen, as `standIn` calls it), `baselineRow` (cells) and `baselineImage` (as image_form.js has it).
import { count } from "../format.js";
import { cellProblem, cellsOf, isGiven, rowMessage } from "./cells.js";

const PATH = "options.baseline";
export const COLOUR_PATH = `${PATH}.colour`;
export const PICTURE_PATH = `${PATH}.image.content`;
export const NAME_PATH = `${PATH}.name`;
/** The path of a cell of the other row as the server names it. */
export const otherCellPath = (name) => `${PATH}.tabular.cells[${name}]`;

/** What stands in: "row", "picture", "colour", "name" or "text", or "" for the model's own. */
export function standIn(kind, value) {
  const by = value.baselineBy ?? "";
  if (kind === "row") return by === "row" ? by : isGiven(value.baseline) ? "name" : "";
  if (kind === "image") return ["picture", "colour"].includes(by) ? by : isGiven(value.baseline) ? "colour" : "";
  return isGiven(value.baseline) ? "text" : "";
}

const FITTING = { row: ["row", "name"], image: ["picture", "colour"], text: ["text"], pair: ["text"] };

/** Options for a model of a kind: without what was chosen for a model of another one. */
export function fittingBaseline(kind, options) {
  const { baselineBy: by } = options;
  return by && !(FITTING[kind] ?? []).includes(by) ? { ...options, baselineBy: "", baseline: "", baselinePair: "" } : options;
}

const MESSAGES = {
  row: (value, { columns }) => ({ tabular: rowMessage(columns, cellsOf(columns, value.baselineRow)) }),
  name: (value) => ({ name: value.baseline }),
  colour: (value) => ({ colour: value.baseline }),
  picture: (value) => ({ image: { content: value.baselineImage.base64 } }),
  text: (value, { kind }) => ({ text: kind === "pair" ? { text: value.baseline, textPair: value.baselinePair ?? "" } : { text: value.baseline } }),
};

/** The Baseline message, or undefined for the model's own. @param {{kind: string, columns: object[]}} model */
export const baselineMessage = (model, value) => MESSAGES[standIn(model.kind, value)]?.(value, model);

const PROBLEMS = {
  row: (value, columns) => columns.map((column) => ({ field: otherCellPath(column.name), description: cellProblem(column, cellsOf(columns, value.baselineRow)[column.name]) })),
  colour: (value) => [{ field: COLOUR_PATH, description: isGiven(value.baseline) ? "" : "is empty; give one such as #ff8800" }],
  picture: (value) => [{ field: PICTURE_PATH, description: value.baselineImage ? value.baselineImage.problem : "is left out; choose or drop a picture" }],
};

/** What is wrong with it before it is sent, as violations; those without a description are none. */
export const baselineProblems = ({ kind, columns }, value) => PROBLEMS[standIn(kind, value)]?.(value, columns) ?? [];

/** Puts another row into a link where the input goes along, too; why it is left out, or "". A picture never goes along. */
export function putBaseline(query, { baselineBy, baselineRow }, withInput, mostCharacters) {
  if (baselineBy === "picture") return "The other picture does not go into links.";
  if (baselineBy !== "row" || !baselineRow) return "";
  if (!withInput) return "The other row goes along only with the input.";
  const row = JSON.stringify(baselineRow);
  if (row.length > mostCharacters) return `The other row is ${count(row.length)} characters long; links take ${count(mostCharacters)} at most.`;
  query.set("other-row", row);
  return "";
}

/** What a link tells of another row, as the form holds it; `readRow` reads cells from a text that nobody checked. */
export function baselineOf(query, readRow) {
  const row = query.has("other-row") ? readRow(query.get("other-row")) : null;
  return row ? { baselineBy: "row", baselineRow: row.cells } : {};
}
