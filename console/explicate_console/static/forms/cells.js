// Cells of a row as forms hold them, texts as typed and null where missing, and as messages have them; without a page.

/** Whether a field of a form holds anything but white space. */
export const isGiven = (text) => text !== undefined && text !== null && String(text).trim() !== "";

/** Whether a column holds numbers or dates. */
export const isMeasured = (column) => column.type === "COLUMN_TYPE_NUMBER" || column.type === "COLUMN_TYPE_DATE";

/** The path of a column's cell as the server names it. */
export const cellPath = (name) => `input.tabular.cells[${name}]`;

/** A cell as protojson: null is missing; a text of a number column is a number where it is one. */
export function cellMessage(column, value) {
  if (value === null || value === undefined) return { missing: null };
  const text = String(value);
  if (column.type !== "COLUMN_TYPE_NUMBER" || column.numberNotation) return { category: text };
  const figure = /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(text) ? Number(text) : NaN;
  return Number.isFinite(figure) ? { number: figure } : { category: text };
}

/** A cell of protojson as the forms hold it: a text, as the column writes numbers, or null where it is missing. */
export function cellValue(cell, column) {
  if (cell?.number === undefined) return cell?.category ?? null;
  return String(cell.number).replace(".", column?.numberNotation?.decimal || ".");
}

/** What is wrong with the value of a column before it is sent, or "". */
export function cellProblem(column, value) {
  if (value !== "" && value !== undefined) return "";
  return "is empty; give a value, or say that it is missing";
}

/** The TabularInput (or BaselineRow) of what a form holds. */
export const rowMessage = (columns, cells) =>
  ({ cells: Object.fromEntries(columns.map((column) => [column.name, cellMessage(column, cells[column.name])])) });

/** The cells of all columns, "" for those that `before` does not have. */
export function cellsOf(columns, before) {
  const cells = Object.create(null);
  for (const { name } of columns) cells[name] = before && Object.hasOwn(before, name) ? before[name] : "";
  return cells;
}

/** What GetModel tells as typical of each column, as the forms hold it; columns of which it tells nothing are left out. */
export function typicalCells(columns, told = {}) {
  const cells = Object.create(null);
  for (const column of columns) if (Object.hasOwn(told, column.name)) cells[column.name] = cellValue(told[column.name], column);
  return cells;
}

/** Whether rows say the same of every column. */
export const sameCells = (columns, one, other) => columns.every(({ name }) => one?.[name] === other?.[name]);
