/** What callers give: inputs and tables, and how they are sent. */

import { create } from "@bufbuild/protobuf";
import { NullValue } from "@bufbuild/protobuf/wkt";

import { invalidArgument, UsageError } from "./errors.js";
import { InputSchema } from "./gen/explicate/v1/inference_service_pb.js";
import type * as inference from "./gen/explicate/v1/inference_service_pb.js";
import { CellSchema, TableColumnSchema, TableSchema } from "./gen/explicate/v1/table_pb.js";
import type * as table from "./gen/explicate/v1/table_pb.js";

/**
 * A value of a column: null and undefined are missing; true and false are the categories "true" and "false". Dates are
 * texts such as "2020-12-31". A bigint must be a number that JavaScript holds exactly.
 */
export type CellValue = string | number | bigint | boolean | null | undefined;

/** A row of a table: from every column to its value. */
export type Row = Readonly<Record<string, CellValue>>;

/** What a model reads, by its kind: a text, a pair of texts, a row, or the bytes of an image file. */
export type Input = string | readonly [text: string, pair: string] | Row | Uint8Array | ArrayBuffer;

/** Many rows: columns of equal length by name, or a row each. In a column of numbers NaN is missing, too. */
export type Table =
  Readonly<Record<string, readonly CellValue[] | Float64Array | Float32Array | Int32Array>> | readonly Row[];

const WHAT_A_CELL_MAY_BE = "must be a number, a string, true or false, or null where a value is missing";

/** Raises InvalidArgument for what cannot be sent. */
export function inputMessage(value: Input, path: string): inference.Input {
  if (typeof value === "string") return create(InputSchema, { kind: textInput(value, undefined, path) });
  if (Array.isArray(value)) return create(InputSchema, { kind: pairInput(value, path) });
  if (value instanceof Uint8Array) return create(InputSchema, { kind: { case: "image", value: { content: value } } });
  if (value instanceof ArrayBuffer) return inputMessage(new Uint8Array(value), path);
  if (!isRow(value)) {
    throw invalidArgument(
      path,
      `must be a string, an array of two, an object from column to value, or the bytes of an image, not ${typeName(value)}`,
    );
  }
  const cells = Object.entries(value).map(([column, held]) => {
    const name = unicodeText(column, `${path}.tabular.cells key`);
    return [name, cellMessage(held, name, `${path}.tabular.cells[${name}]`)] as const;
  });
  return create(InputSchema, { kind: { case: "tabular", value: { cells: Object.fromEntries(cells) } } });
}

/** Raises InvalidArgument for a column that cannot be sent, UsageError for columns of different lengths. */
export function tableMessage(given: Table): table.Table {
  const columns = columnsOf(given);
  const lengths = new Set([...columns.values()].map((values) => values.length));
  if (lengths.size > 1) {
    const told = [...columns].map(([name, values]) => `${name} ${values.length}`).join(", ");
    throw new UsageError(`the columns have different lengths: ${told}`);
  }
  return create(TableSchema, {
    rows: Math.max(0, ...lengths),
    columns: [...columns].map(([name, values]) => columnMessage(name, values)),
  });
}

/** `text`, once it is known to be a string that UTF-8 can hold; raises InvalidArgument. */
export function unicodeText(text: unknown, path: string): string {
  if (typeof text !== "string") throw invalidArgument(path, `must be a string, not ${typeName(text)}`);
  if (text.isWellFormed()) return text;
  // Sent as it is, it would silently become U+FFFD.
  const place = /\p{Surrogate}/u.exec(text)?.index;
  throw invalidArgument(path, `has a lone surrogate at index ${place}, which is not valid Unicode`);
}

/** What a value is, for a message. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return value.constructor?.name ?? "object";
}

function textInput(text: string, pair: string | undefined, path: string) {
  const value = { text: unicodeText(text, `${path}.text`) };
  if (pair === undefined) return { case: "text" as const, value };
  return { case: "text" as const, value: { ...value, textPair: unicodeText(pair, `${path}.text.text_pair`) } };
}

function pairInput(value: readonly unknown[], path: string) {
  if (value.length !== 2) {
    throw invalidArgument(`${path}.text`, `must be a string or a pair of them, not ${value.length} values`);
  }
  unicodeText(value[1], `${path}.text.text_pair`);
  return textInput(value[0] as string, value[1] as string, path);
}

/** Whether a value is an object whose keys can be columns. */
function isRow(value: unknown): value is Readonly<Record<string, CellValue>> {
  const others = [Array, ArrayBuffer, Date, Map, Set, Promise];
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  return !others.some((other) => value instanceof other);
}

function cellMessage(value: CellValue, column: string, path: string): table.Cell {
  if (value === null || value === undefined)
    return create(CellSchema, { kind: { case: "missing", value: NullValue.NULL_VALUE } });
  const number = numberOf(value, path);
  if (number !== undefined) return create(CellSchema, { kind: { case: "number", value: number } });
  return create(CellSchema, { kind: { case: "category", value: categoryOf(value, column, path) } });
}

/** The number that a number or a bigint is; undefined for what is neither. */
function numberOf(value: unknown, path: string): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "bigint") return undefined;
  const number = Number(value);
  if (!Number.isFinite(number) || BigInt(number) !== value)
    throw invalidArgument(path, `${value} is not exact as a number`);
  return number;
}

function categoryOf(value: unknown, column: string, path: string): string {
  if (typeof value === "string") return unicodeText(value, path);
  if (typeof value === "boolean") return String(value);
  const hint = value instanceof Date ? '; give a date as text, such as "2020-12-31"' : "";
  throw invalidArgument(path, `column ${column}: ${WHAT_A_CELL_MAY_BE}, not ${typeName(value)}${hint}`);
}

function columnsOf(given: Table): Map<string, readonly CellValue[]> {
  if (isRow(given)) return new Map(Object.entries(given).map(([name, values]) => [name, columnValues(name, values)]));
  if (!Array.isArray(given))
    throw invalidArgument("table", `must be an array of rows, or columns by name, not ${typeName(given)}`);
  const rows: readonly unknown[] = given;
  const wrong = rows.findIndex((row) => !isRow(row));
  if (wrong >= 0) {
    throw invalidArgument("table", `row ${wrong} must be an object from column to value, not ${typeName(rows[wrong])}`);
  }
  const names = new Set((rows as readonly Row[]).flatMap((row) => Object.keys(row)));
  return new Map([...names].map((name) => [name, (rows as readonly Row[]).map((row) => row[name])]));
}

function columnValues(name: string, values: unknown): readonly CellValue[] {
  if (Array.isArray(values)) return values;
  if (ArrayBuffer.isView(values) && "length" in values) return Array.from(values as unknown as ArrayLike<number>);
  throw invalidArgument(`table.columns[${name}]`, `must be an array, not ${typeName(values)}`);
}

function columnMessage(column: string, values: readonly CellValue[]): table.TableColumn {
  const name = unicodeText(column, "table.columns key");
  const path = `table.columns[${name}]`;
  const isNumeric = values.every((value) => value == null || typeof value === "number" || typeof value === "bigint");
  if (isNumeric) {
    const numbers = values.map((value) => numberOf(value, `${path}.numbers`) ?? NaN);
    return create(TableColumnSchema, { name, values: { case: "numbers", value: { values: numbers } } });
  }
  const codes = new Map<string, number>();
  const told = values.map((value) => {
    if (value == null || Number.isNaN(value)) return -1;
    if (typeof value === "number" || typeof value === "bigint") {
      throw invalidArgument(path, `column ${name}: mixes categories with numbers such as ${value}`);
    }
    const category = categoryOf(value, name, `${path}.categories`);
    if (!codes.has(category)) codes.set(category, codes.size);
    return codes.get(category) as number;
  });
  const value = { names: [...codes.keys()], codes: told };
  return create(TableColumnSchema, { name, values: { case: "categories", value } });
}
