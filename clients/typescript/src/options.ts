/** What may be asked of an explanation. Each key may be left out; the answer says to what the server resolved it. */

import { create, ScalarType, toBinary } from "@bufbuild/protobuf";
import type { DescEnum, DescField, DescMessage, Message, MessageInitShape } from "@bufbuild/protobuf";

import { invalidArgument } from "./errors.js";
import type { BaselineSchema } from "./gen/explicate/v1/baseline_pb.js";
import type { ChangeOptionsSchema } from "./gen/explicate/v1/changes_pb.js";
import type { InputPartSchema, PlayerGroupSchema } from "./gen/explicate/v1/players_pb.js";
import { ExplainOptionsSchema, TargetSchema } from "./gen/explicate/v1/explanation_pb.js";
import type * as explanation from "./gen/explicate/v1/explanation_pb.js";
import { typeName, unicodeText } from "./inputs.js";
import { nameOf } from "./values.js";
import type { ClassChoice, Contrast, Target } from "./values.js";

export interface ExplainOptions {
  /** One that `getModel(name)` lists, or "auto", the default: exact where that fits the budget. */
  readonly method?: string | undefined;
  /** A class by index or label, `{ all: true }`, or `{ target, reference }`. Default: the predicted class. */
  readonly target?: Target | undefined;
  /** The scale that is explained. Default: "logit" for a contrast, "value" for a regression, else "probability". */
  readonly outputSpace?: "probability" | "logit" | "value" | undefined;
  /** What gets a number of its own. Default: "word" of a text, "slic" of an image. */
  readonly granularity?: "word" | "token" | "sentence" | "slic" | "quickshift" | "grid" | "patch" | undefined;
  /** How a part is left out. */
  readonly masking?:
    | "attention"
    | "mask-token"
    | "delete"
    | "background"
    | "drawn"
    | "mean"
    | "blur"
    | "grey"
    | "reference"
    | undefined;
  /** Rows through the model at most, for a table times its background rows. */
  readonly maxEvaluations?: number | undefined;
  /** Rows before `tolerance` may stop the work. */
  readonly minEvaluations?: number | undefined;
  /** Stop once the widest interval's half-width is below this fraction of the range; 0 never stops early. */
  readonly tolerance?: number | undefined;
  /** Coverage of the intervals, in [0.5, 0.999]. */
  readonly confidence?: number | undefined;
  /** Seconds the explanation may take; the best answer so far is given when they are over. */
  readonly timeLimitSeconds?: number | undefined;
  /** Of all random choices, from 0 to 2³² - 1. Same seed, same answer. Default: 0. */
  readonly seed?: number | undefined;
  /** Stop once it is certain which `topK` features weigh most. */
  readonly topK?: number | undefined;
  /** "full" adds comprehensiveness and sufficiency, for at most twenty more rows. */
  readonly quality?: "basic" | "full" | undefined;
  /** A text of more words than this, from 2 to 1024, is grouped into phrases first. */
  readonly maxPlayers?: number | undefined;
  /** About how many segments "slic" or "grid" cut an image into, from 2 to 1024. */
  readonly segments?: number | undefined;
  /** Also tell so many of the strongest interactions of two features, from 1 to 100. */
  readonly interactions?: number | undefined;
  /** What stands in for absent parts, in the place of the model's own background or masking; as the contract has it. */
  readonly baseline?: MessageInitShape<typeof BaselineSchema> | undefined;
  /** Parts of the input that get one number together, as the contract has them. */
  readonly groups?: readonly MessageInitShape<typeof PlayerGroupSchema>[] | undefined;
  /** Parts that are never left out and get no number, as the contract has them. */
  readonly fixed?: readonly MessageInitShape<typeof InputPartSchema>[] | undefined;
  /** Also look for the smallest change that changes the answer, as the contract has it; `{}` for the defaults. */
  readonly change?: MessageInitShape<typeof ChangeOptionsSchema> | undefined;
  /** Of the answer's sentences, such as "de". Default: "en". */
  readonly language?: string | undefined;
}

/** Of integers, by their type on the wire. */
const BOUNDS: Readonly<Partial<Record<ScalarType, readonly [number, number]>>> = {
  [ScalarType.INT32]: [-(2 ** 31), 2 ** 31 - 1],
  [ScalarType.UINT32]: [0, 2 ** 32 - 1],
};

/** What the caller gave and nothing else; raises InvalidArgument for an option or a value that cannot be sent. */
export function optionsMessage(given: ExplainOptions): explanation.ExplainOptions {
  const message = create(ExplainOptionsSchema) as unknown as Record<string, unknown>;
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    if (value === undefined || value === null) continue;
    const field = ExplainOptionsSchema.fields.find(({ localName }) => localName === name);
    if (!field)
      throw invalidArgument(`options.${name}`, `there is no such option; there are ${optionNames().join(", ")}`);
    message[name] = name === "target" ? targetMessage(value) : optionValue(field, value);
  }
  return message as unknown as explanation.ExplainOptions;
}

/** The number of an enum's value by its name; raises InvalidArgument with the names there are. */
export function numberOfName(schema: DescEnum, name: unknown, path: string): number {
  const names = new Map(
    schema.values.filter(({ number }) => number !== 0).map(({ number }) => [nameOf(schema, number), number]),
  );
  const number = typeof name === "string" ? names.get(name) : undefined;
  if (number === undefined)
    throw invalidArgument(path, `must be one of ${[...names.keys()].join(", ")}, not ${shown(name)}`);
  return number;
}

function optionNames(): string[] {
  return ExplainOptionsSchema.fields.map((field) => field.localName);
}

function optionValue(field: DescField, value: unknown): unknown {
  const path = `options.${field.name}`;
  if (field.fieldKind === "enum") return numberOfName(field.enum, value, path);
  if (field.fieldKind === "message") return messageOf(field.message, value, path);
  if (field.fieldKind === "list" && field.listKind === "message") {
    if (!Array.isArray(value)) throw invalidArgument(path, `must be an array, not ${shown(value)}`);
    return value.map((each, place) => messageOf(field.message, each, `${path}[${place}]`));
  }
  if (field.scalar === ScalarType.STRING) return unicodeText(value, path);
  if (typeof value !== "number") throw invalidArgument(path, `must be a number, not ${shown(value)}`);
  const bounds = field.scalar && BOUNDS[field.scalar];
  return bounds ? integer(value, path, bounds) : value;
}

/** A message by what the caller gave of it, once it is known that it can be sent. */
function messageOf(schema: DescMessage, value: unknown, path: string): Message {
  if (typeof value !== "object" || value === null) throw invalidArgument(path, `must be an object, not ${shown(value)}`);
  try {
    const message = create(schema, value as Record<string, unknown>);
    toBinary(schema, message);
    return message;
  } catch (error) {
    throw invalidArgument(path, error instanceof Error ? error.message : String(error));
  }
}

/** `value`, once it is known that an int32 of the wire holds it. */
export function int32(value: unknown, path: string): number {
  return integer(value, path, [-(2 ** 31), 2 ** 31 - 1]);
}

function integer(value: unknown, path: string, [least, most]: readonly [number, number]): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalidArgument(path, `must be a whole number from ${least} to ${most}, not ${shown(value)}`);
}

type TargetInit = MessageInitShape<typeof TargetSchema>;

function targetMessage(value: unknown): explanation.Target {
  return create(TargetSchema, { selector: targetSelector(value) });
}

function targetSelector(value: unknown): NonNullable<TargetInit["selector"]> {
  const path = "options.target";
  if (typeof value !== "object" || value === null) return chosen(value, path);
  if ("all" in value && value.all === true) return { case: "all", value: {} };
  if (!("target" in value && "reference" in value)) {
    throw invalidArgument(path, "must be a class, { all: true }, or { target, reference }");
  }
  const contrast = value as Contrast;
  return {
    case: "contrast",
    value: {
      target: { selector: chosen(contrast.target, `${path}.contrast.target`) },
      reference: { selector: chosen(contrast.reference, `${path}.contrast.reference`) },
    },
  };
}

function chosen(value: unknown, path: string): { case: "index"; value: number } | { case: "label"; value: string } {
  const choice = value as ClassChoice;
  if (typeof choice === "string") return { case: "label", value: unicodeText(choice, `${path}.label`) };
  if (typeof choice !== "number")
    throw invalidArgument(path, `must be the index or the label of a class, not ${shown(value)}`);
  return { case: "index", value: int32(choice, `${path}.index`) };
}

function shown(value: unknown): string {
  if (typeof value === "bigint") return `the bigint ${value}`;
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? (JSON.stringify(value) ?? String(value))
    : typeName(value);
}

type Declared = Exclude<keyof explanation.ExplainOptions, "$typeName" | "$unknown">;
/** Does not compile when the contract has an option that `ExplainOptions` lacks. */
export const ALL_OPTIONS_ARE_DECLARED: Declared extends keyof ExplainOptions ? true : never = true;
