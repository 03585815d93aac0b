/**
 * Plain objects from the messages of answers: enums by their names in kebab-case, numbers where the wire has 64 bits, no
 * oneofs. A value that this client does not know, from a newer server, becomes its number as a string.
 */

import type { DescEnum, DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Timestamp } from "@bufbuild/protobuf/wkt";

import { SegmentIdEncoding } from "./gen/explicate/v1/explanation_pb.js";
import type * as explanation from "./gen/explicate/v1/explanation_pb.js";
import type * as inference from "./gen/explicate/v1/inference_service_pb.js";
import type * as table from "./gen/explicate/v1/table_pb.js";

/** A cell of an answer; null where the value is missing. */
export type AnsweredCell = number | string | null;

/** A class by its index, from 0, or by its label: a string also where it is a number. */
export type ClassChoice = number | string;

/** What is explained: a class, every class, or why one class rather than another. */
export type Target = ClassChoice | { readonly all: true } | Contrast;

/** Why `target` rather than `reference`: explains the score of the one minus that of the other. */
export interface Contrast {
  readonly target: ClassChoice;
  readonly reference: ClassChoice;
}

/** A half-open range of a JavaScript string: `text.slice(start, end)`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** One player: a part of a text, a column or named group of columns of a table, or a segment of an image. */
export interface Feature {
  /** The text as written, the column or group, or the segment by its id, such as "segment 7". */
  readonly name: string;
  /** Where a text stands; several places where a method treats equal words as one. Empty for other kinds. */
  readonly spans: readonly Span[];
  /** Whether that is in the second text of a pair. */
  readonly inPair: boolean;
  /** The values of a column, or of the columns of a group, by their names; undefined for other kinds. */
  readonly values: Readonly<Record<string, AnsweredCell>> | undefined;
  /** Of an image; undefined for other kinds. */
  readonly segment: Plain<explanation.SegmentFeature> | undefined;
}

/** The model's answer for one input. What does not apply to the kind of model is undefined or empty. */
export interface Prediction {
  /** Index of the most probable class. */
  readonly index: number | undefined;
  /** Its label. */
  readonly label: string | undefined;
  /** Its probability. */
  readonly probability: number | undefined;
  /** Labels of a model of several, those with a probability of at least one half, the most probable first. */
  readonly labels: readonly string[] | undefined;
  /** All classes or labels, by index. */
  readonly scores: readonly Plain<inference.ClassScore>[];
  /** The answer of a regression. */
  readonly value: number | undefined;
  /** What the model saw of a text: its `text.slice(0, textUsage.utf16Used)`. */
  readonly textUsage: Plain<inference.TextUsage> | undefined;
  /** What the model saw of an image. */
  readonly imageUsage: Plain<inference.ImageUsage> | undefined;
  /** Columns whose category the model does not know; they were answered as unknown. */
  readonly unknownCategoryColumns: readonly string[];
}

/** Which segment each pixel that the model saw belongs to: `width * height` ids, row after row. */
export interface SegmentMap {
  readonly width: number;
  readonly height: number;
  readonly ids: Uint32Array;
}

/** A message as a plain object; see the top of this file. */
export type Plain<T> = T extends bigint
  ? number
  : T extends string | boolean | null | undefined | Uint8Array
    ? T
    : T extends number
      ? `${number}` extends `${T}`
        ? number
        : string // an enum, the one number whose values are known
      : T extends readonly (infer Item)[]
        ? readonly Plain<Item>[]
        : T extends { readonly $typeName: infer Name }
          ? PlainMessage<T, Name>
          : { readonly [Key in keyof T]: Plain<T[Key]> };

type PlainMessage<T, Name> = Name extends keyof Special
  ? Special[Name]
  : { readonly [Key in keyof T as Exclude<Key, "$typeName" | "$unknown">]: Plain<T[Key]> };

/** Messages with a form of their own. */
interface Special {
  "google.protobuf.Timestamp": Date;
  "explicate.v1.Cell": AnsweredCell;
  "explicate.v1.Target": Target | undefined;
  "explicate.v1.Feature": Feature;
  "explicate.v1.Prediction": Prediction;
  "explicate.v1.SegmentMap": SegmentMap;
}

const SPECIAL: { readonly [Name in keyof Special]: (message: never) => Special[Name] } = {
  "google.protobuf.Timestamp": (message: Timestamp) => timestampDate(message),
  "explicate.v1.Cell": cell,
  "explicate.v1.Target": target,
  "explicate.v1.Feature": feature,
  "explicate.v1.Prediction": prediction,
  "explicate.v1.SegmentMap": segmentMap,
};

/** `message`, whose descriptor is `schema`, as a plain object. */
export function plain<T extends Message>(schema: DescMessage, message: T): Plain<T> {
  const special = (SPECIAL as unknown as Readonly<Record<string, (message: T) => unknown>>)[schema.typeName];
  if (special) return special(message) as Plain<T>;
  const held = message as unknown as Readonly<Record<string, unknown>>;
  const told = schema.fields.map((field) => [field.localName, plainField(field, held[field.localName])] as const);
  return Object.fromEntries(told) as Plain<T>;
}

/** The name of an enum's value: MASKING_MASK_TOKEN is "mask-token"; empty for 0, which is unspecified. */
export function nameOf(schema: DescEnum, number: number): string {
  if (number === 0) return "";
  return schema.value[number]?.localName.toLowerCase().replaceAll("_", "-") ?? String(number);
}

function plainField(field: DescField, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (field.fieldKind === "list") {
    const items = value as unknown[];
    const isPlain = field.listKind === "scalar" && typeof items[0] !== "bigint"; // the many numbers of attributions
    return isPlain ? items : items.map((item) => plainValue(field, item));
  }
  if (field.fieldKind !== "map") return plainValue(field, value);
  return Object.fromEntries(Object.entries(value as object).map(([key, item]) => [key, plainValue(field, item)]));
}

function plainValue(field: DescField, value: unknown): unknown {
  if (field.message) return plain(field.message, value as Message);
  if (field.enum) return nameOf(field.enum, value as number);
  return typeof value === "bigint" ? Number(value) : value;
}

function cell(message: table.Cell): AnsweredCell {
  const { kind } = message;
  return kind.case === "number" || kind.case === "category" ? kind.value : null;
}

function target(message: explanation.Target): Target | undefined {
  const { selector } = message;
  switch (selector.case) {
    case undefined:
      return undefined;
    case "all":
      return { all: true };
    case "contrast":
      return { target: chosen(selector.value.target), reference: chosen(selector.value.reference) };
    default:
      return selector.value;
  }
}

function chosen(message: explanation.ClassSelector | undefined): ClassChoice {
  return message?.selector.value ?? "";
}

function feature({ kind }: explanation.Feature): Feature {
  const text = kind.case === "text" ? kind.value : undefined;
  const column = kind.case === "column" ? kind.value : undefined;
  const segment = kind.case === "segment" ? kind.value : undefined;
  const values = column?.columns.map((each) => [each.column, each.value ? cell(each.value) : null] as const);
  return {
    name: text?.text ?? column?.name ?? (segment ? `segment ${segment.id}` : ""),
    spans: text?.spans.map((span) => ({ start: span.utf16Start, end: span.utf16End })) ?? [],
    inPair: text?.inPair ?? false,
    values: values && Object.fromEntries(values),
    segment: segment && without(segment),
  };
}

function prediction(message: inference.Prediction): Prediction {
  const { outcome, textUsage, imageUsage } = message;
  const one = outcome.case === "classification" ? outcome.value : undefined;
  const several = outcome.case === "multiLabel" ? outcome.value : undefined;
  return {
    index: one?.predictedIndex,
    label: one?.predictedLabel,
    probability: one?.scores[one.predictedIndex]?.probability,
    labels: several?.predictedLabels,
    scores: ((one ?? several)?.scores ?? []).map(without),
    value: outcome.case === "regression" ? outcome.value.value : undefined,
    textUsage: textUsage && without(textUsage),
    imageUsage: imageUsage && without(imageUsage),
    unknownCategoryColumns: message.unknownCategoryColumns,
  };
}

function segmentMap({ width, height, encoding, ids }: explanation.SegmentMap): SegmentMap {
  const bytes = encoding === SegmentIdEncoding.UINT16_LITTLE_ENDIAN ? 2 : 4;
  const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
  const read = (_: unknown, place: number) =>
    bytes === 2 ? view.getUint16(bytes * place, true) : view.getUint32(bytes * place, true);
  return { width, height, ids: Uint32Array.from({ length: ids.byteLength / bytes }, read) };
}

/** A flat message without what is protobuf's. */
function without<T extends Message>(message: T): Omit<T, "$typeName" | "$unknown"> {
  const { $typeName: _name, $unknown: _unknown, ...rest } = message;
  return rest;
}
