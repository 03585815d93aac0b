// What an explanation says, from the JSON of the server's answer to what the marks draw. See explanation.proto.
// What is not known is null: NaN, and what protobuf's JSON leaves out. Spans count UTF-16 units, as strings do here.
import { decimalsOf } from "./format.js";

const TWO_BYTES = 2;
const FOUR_BYTES = 4;
/** Bytes of an id by the encoding of a segment map. */
const ENCODINGS = { SEGMENT_ID_ENCODING_UINT16_LITTLE_ENDIAN: TWO_BYTES, 1: TWO_BYTES,
  SEGMENT_ID_ENCODING_UINT32_LITTLE_ENDIAN: FOUR_BYTES, 2: FOUR_BYTES };
const STOP_REASONS = ["", "tolerance", "budget", "deadline", "exact", "running", "top-k", "complete"];
const SPACES = ["", "probability", "logit", "value"];
const GRANULARITIES = ["", "word", "token", "sentence", "slic", "quickshift", "grid", "patch"];
const MASKINGS = ["", "attention", "mask-token", "delete", "background", "mean", "blur", "grey", "drawn", "reference"];
const ENDS = ["", "complete", "budget", "deadline"];

/** A number of protobuf's JSON: int64 are texts, and so are "NaN" and "Infinity"; null for what is left out and for NaN. */
export function figure(given) {
  if (given === undefined || given === null || given === "") return null;
  const value = Number(given);
  return Number.isNaN(value) ? null : value;
}

/** A figure that protobuf's JSON leaves out where it is 0. */
const counted = (given) => figure(given ?? 0);

/** The name of an enum's value without its prefix, as the Python client has it: "STOP_REASON_TOP_K" is "top-k". */
function name(given, prefix, names) {
  if (given === undefined || given === null) return "";
  if (typeof given === "number") return names[given] ?? String(given);
  const short = given.startsWith(prefix) ? given.slice(prefix.length).toLowerCase().replaceAll("_", "-") : given;
  return short === "unspecified" ? "" : short;
}

/** The value of a cell {number} | {category} | {missing}: a number, a text, or null. */
export function cellValue(cell) {
  if (cell && "number" in cell) return figure(cell.number);
  return cell && "category" in cell ? cell.category : null;
}

/** What has been decoded of an input, by the object that was given, so that a stream makes one address of its image. */
const INPUTS = new WeakMap();

/**
 * An input as it was sent (text, tabular or image of protobuf's JSON; of an image also a Blob as `content`), decoded:
 * {kind, text, textPair, texts, cells, blob, image}. image is the address of the blob; both are null without an image.
 */
export function readInput(input) {
  if (!input || typeof input !== "object") return { kind: null, text: "", textPair: null, texts: [], cells: {}, blob: null, image: null };
  if (!INPUTS.has(input)) INPUTS.set(input, decodedInput(input));
  return INPUTS.get(input);
}

function decodedInput(input) {
  const text = input.text?.text ?? "";
  const textPair = input.text?.textPair ?? null;
  const cells = {};
  for (const [column, cell] of Object.entries(input.tabular?.cells ?? {})) setOwn(cells, column, cellValue(cell));
  const kind = input.image ? "image" : input.tabular ? "row" : textPair === null ? "text" : "pair";
  const texts = kind === "text" ? [text] : kind === "pair" ? [text, textPair] : [];
  return { kind, text, textPair, texts, cells, ...imageOf(input.image) };
}

/** A column may be called "__proto__". */
function setOwn(object, key, value) {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

/** The image as a Blob and the address of it; both null where the image itself was not kept. */
function imageOf(image) {
  if (!image?.content) return { blob: null, image: image?.url ?? null };
  const blob = image.content instanceof Blob ? image.content : new Blob([bytesOf(image.content)]);
  return { blob, image: URL.createObjectURL(blob) };
}

/** The bytes of a base64 text of protobuf's JSON, which may be of the alphabet for addresses. */
export function bytesOf(base64) {
  const plain = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

/**
 * The view model of an explanation.
 *
 * response: an ExplainResponse, a StreamExplainResponse or an ExplainResult in protobuf's JSON. input: what was sent, see
 * readInput. before: the answer of the same stream before this one, whose features and segments are kept where this one
 * leaves them out.
 */
export function readExplanation(response, input, before = null) {
  const result = response.result ?? response;
  const given = result.explanation ?? {};
  const options = given.options ?? {};
  const streamed = "final" in response || name(given.stopReason, "STOP_REASON_", STOP_REASONS) === "running";
  const kept = given.features?.length ? featuresOf(given) : before?.parts ?? featuresOf(given);
  const asked = readInput(input);
  const outputs = (given.attributions ?? []).map((each) => readOutput(each, kept.features));
  const space = name(options.outputSpace, "OUTPUT_SPACE_", SPACES);
  const prediction = readPrediction(result.prediction ?? {}, outputs);
  const answer = {
    kind: kindOf(kept, asked, prediction), final: streamed ? response.final === true : true,
    preview: given.preview === true, model: readModel(result.model ?? {}), prediction, outputs,
    fixed: kept.fixed, parts: kept, input: asked, segmentMap: kept.segmentMap,
    sections: (given.sections ?? []).map((each) => readSection(each, kept.features)),
    change: given.change ? readChange(given.change) : null,
    sentences: given.sentences ?? [], language: options.language ?? "",
    quality: readQuality(given.quality ?? {}), evaluations: counted(given.evaluations),
    reusedEvaluations: counted(given.reusedEvaluations), rounds: counted(given.rounds),
    stopReason: name(given.stopReason, "STOP_REASON_", STOP_REASONS), converged: given.converged === true,
    method: options.method ?? "", methodVersion: given.methodVersion ?? "", space, options,
    granularity: name(options.granularity, "GRANULARITY_", GRANULARITIES),
    masking: name(options.masking, "MASKING_", MASKINGS), confidence: figure(options.confidence),
    seed: counted(options.seed), topK: figure(options.topK),
    baselineNote: baselineNote(given.baseline, options.baseline), unspacedScripts: given.unspacedScripts ?? [],
    timing: readTiming(result.timing ?? {}),
    decimals: decimalsOf(outputs.flatMap((output) => output.items.map((item) => item.value)), space),
  };
  answer.interactions = outputs.some((output) => output.interactions.length) ? outputs[0].interactions : null;
  answer.noun = nounOf(answer);
  answer.nouns = answer.noun.endsWith("ch") ? `${answer.noun}es` : `${answer.noun}s`;
  return answer;
}

/** A function that reads the answers of one stream, one after the other. */
export function streamReader(input) {
  let before = null;
  return (response) => { before = readExplanation(response, input, before); return before; };
}

function featuresOf(given) {
  const features = (given.features ?? []).map(readFeature);
  const fixed = (given.fixed ?? []).map(readFeature);
  return { features, fixed, segmentMap: given.segmentMap ? readSegmentMap(given.segmentMap, features, fixed) : null };
}

/** One feature without its numbers. spans and texts are those of all it holds; a group has members. */
function readFeature(feature) {
  const { text, column, segment, group } = feature;
  const read = { name: "", spans: [], texts: [], inPair: false, instead: null, group: null, members: [], cells: {}, segment: null, segments: [] };
  if (group) return readGroup(read, group);
  if (text) {
    read.name = text.text ?? "";
    read.inPair = text.inPair === true;
    read.instead = text.instead ?? null;
    read.texts = [read.name];
    read.spans = (text.spans ?? []).map((span) => ({ start: span.utf16Start ?? 0, end: span.utf16End ?? 0, inPair: read.inPair }));
  } else if (column) {
    read.name = column.name ?? "";
    for (const each of column.columns ?? []) setOwn(read.cells, each.column ?? "", cellValue(each.value));
  } else if (segment) {
    read.segment = { id: segment.id ?? 0, pixels: segment.pixels ?? 0, left: segment.left ?? 0, top: segment.top ?? 0,
      right: segment.right ?? 0, bottom: segment.bottom ?? 0 };
    read.segments = [read.segment.id];
    read.name = `segment ${read.segment.id}`;
  }
  const held = Object.values(read.cells);
  if (held.length === 1) [read.cell] = held;
  return read;
}

function readGroup(read, group) {
  const members = (group.members ?? []).map(readFeature);
  const segments = members.map((member) => member.segment).filter(Boolean);
  for (const member of members) for (const [key, value] of Object.entries(member.cells)) setOwn(read.cells, key, value);
  return { ...read, name: group.name ?? "", group: group.name ?? "", members,
    spans: members.flatMap((member) => member.spans), texts: members.flatMap((member) => member.texts),
    inPair: members.length > 0 && members.every((member) => member.inPair),
    segments: segments.map((segment) => segment.id), segment: segments.length ? segments.reduce(together) : null };
}

const together = (one, other) => ({ id: one.id, pixels: one.pixels + other.pixels, left: Math.min(one.left, other.left),
  top: Math.min(one.top, other.top), right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom) });

function readOutput(attribution, features) {
  const { values = [], standardErrors = [], lower = [], upper = [] } = attribution;
  const items = features.map((feature, place) => withInterval({
    ...feature, place, value: figure(values[place]), lower: figure(lower[place]), upper: figure(upper[place]),
    error: figure(standardErrors[place]),
  }));
  const label = attribution.classLabel ?? "";
  const against = attribution.referenceLabel ?? null;
  return {
    label, against, name: against === null ? label : `${label} rather than ${against}`,
    index: attribution.classIndex ?? 0, baseline: counted(attribution.baselineValue),
    instance: counted(attribution.instanceValue), items,
    interactions: (attribution.interactions ?? []).map((pair) => withInterval({
      first: pair.first ?? 0, second: pair.second ?? 0, value: counted(pair.value), error: counted(pair.standardError),
      lower: counted(pair.lower), upper: counted(pair.upper),
    })),
  };
}

/** With certain: whether the interval leaves out 0, so that the sign is known; and hasInterval: whether there is one. */
function withInterval(item) {
  const hasInterval = item.lower !== null && item.upper !== null;
  return { ...item, hasInterval, certain: hasInterval && (item.lower > 0 || item.upper < 0) };
}

/** Places of features for each pixel, row after row; the number of features for what is fixed or belongs to nothing. */
function readSegmentMap({ width = 0, height = 0, encoding, ids = "" }, features, fixed) {
  const size = ENCODINGS[encoding];
  const content = size ? bytesOf(ids) : new Uint8Array(0);
  if (!size || content.length !== width * height * size) return null;
  const view = new DataView(content.buffer);
  const placeOf = new Map();
  for (const part of fixed) for (const id of part.segments) placeOf.set(id, features.length);
  features.forEach((feature, place) => { for (const id of feature.segments) placeOf.set(id, place); });
  const places = new Uint16Array(width * height);
  for (let pixel = 0; pixel < places.length; pixel += 1) {
    const id = size === TWO_BYTES ? view.getUint16(2 * pixel, true) : view.getUint32(4 * pixel, true);
    places[pixel] = placeOf.get(id) ?? features.length;
  }
  return { width, height, places };
}

function readPrediction(prediction, outputs) {
  const { classification, multiLabel, regression, textUsage, imageUsage } = prediction;
  const scores = (classification?.scores ?? multiLabel?.scores ?? []).map((score) => ({
    index: score.index ?? 0, label: score.label ?? "", probability: counted(score.probability), logit: counted(score.logit),
    threshold: figure(score.threshold), expectedCost: figure(score.expectedCost),
  }));
  return {
    label: classification?.predictedLabel ?? "", index: classification ? classification.predictedIndex ?? 0 : null,
    labels: multiLabel ? multiLabel.predictedLabels ?? [] : null, value: regression ? counted(regression.value) : null,
    target: regression ? outputs[0]?.label ?? "" : null, unit: null, scores,
    textUsage: textUsage ? readTextUsage(textUsage) : null, imageUsage: imageUsage ? readImageUsage(imageUsage) : null,
    unknownColumns: prediction.unknownCategoryColumns ?? [],
  };
}

const readTextUsage = (usage) => ({ tokens: usage.tokens ?? 0, tokensUsed: usage.tokensUsed ?? 0,
  truncated: usage.truncated === true, used: [usage.utf16Used ?? 0, usage.pairUtf16Used ?? 0] });

const readImageUsage = (usage) => ({ width: usage.width ?? 0, height: usage.height ?? 0, left: usage.left ?? 0,
  top: usage.top ?? 0, right: usage.right ?? 0, bottom: usage.bottom ?? 0, frames: usage.frames ?? 0 });

const readModel = (model) => ({ model: model.model ?? "", version: model.version ?? 0, runtime: model.runtime ?? "",
  precision: model.precision ?? "", digest: model.bundleDigest ?? "" });

function readQuality(quality) {
  const fall = (given) => (given ? { value: counted(given.value), random: counted(given.random) } : null);
  return {
    additivityGap: figure(quality.additivityGap), heldOutRSquared: figure(quality.heldOutRSquared),
    splitHalfSpearman: figure(quality.splitHalfSpearman), infidelity: figure(quality.infidelity),
    largestIntervalRatio: figure(quality.largestIntervalRatio), certainTopK: figure(quality.certainTopK),
    comprehensiveness: fall(quality.comprehensiveness), sufficiency: fall(quality.sufficiency),
  };
}

const readTiming = (timing) => ({ queueS: counted(timing.queueSeconds), preprocessingS: counted(timing.preprocessingSeconds),
  modelS: counted(timing.modelSeconds), solverS: counted(timing.solverSeconds), totalS: counted(timing.totalSeconds) });

/** A sentence of a long text: its words by place, and what they add together to each output. */
function readSection(section, features) {
  const first = section.firstFeature ?? 0;
  const words = features.slice(first, first + (section.featureCount ?? 0));
  const spans = words.flatMap((word) => word.spans);
  return {
    text: section.text ?? "", first, count: section.featureCount ?? 0, inPair: words[0]?.inPair ?? false,
    span: spans.length ? { start: Math.min(...spans.map((s) => s.start)), end: Math.max(...spans.map((s) => s.end)) } : null,
    values: (section.values ?? []).map((each) => withInterval({ value: figure(each.value ?? 0), error: figure(each.standardError ?? 0),
      lower: figure(each.lower ?? 0), upper: figure(each.upper ?? 0) })),
  };
}

function readChange(change) {
  const decided = (told) => (told ? { index: told.classIndex ?? 0, label: told.classLabel ?? "", score: counted(told.score),
    given: told.given === true } : null);
  return {
    found: change.found === true, absent: change.absent ?? [], distance: counted(change.distance),
    columns: (change.columns ?? []).map((each) => ({ column: each.column ?? "", before: cellValue(each.from),
      after: cellValue(each.to), distance: counted(each.distance) })),
    before: decided(change.before), after: decided(change.after), evaluations: counted(change.evaluations),
    reusedEvaluations: counted(change.reusedEvaluations), sizesTried: change.sizesTried ?? 0,
    noneSmaller: change.noneSmaller === true, noneNearer: change.noneNearer === true,
    end: name(change.end, "CHANGE_END_", ENDS),
  };
}

function kindOf(kept, asked, prediction) {
  if (asked.kind) return asked.kind;
  const parts = [...kept.features, ...kept.fixed].flatMap((each) => (each.members.length ? each.members : [each]));
  if (kept.segmentMap || prediction.imageUsage) return "image";
  if (parts.some((each) => Object.keys(each.cells).length)) return "row";
  return parts.some((each) => each.inPair) ? "pair" : "text";
}

/** What one feature is called: "word", "phrase", "column", "segment". */
function nounOf({ kind, granularity, parts }) {
  if (kind === "image") return granularity === "patch" ? "patch" : "segment";
  if (kind === "row") return parts.features.some((each) => Object.keys(each.cells).length > 1) ? "feature" : "column";
  const grouped = parts.features.some((each) => each.members.length || /\S\s+\S/u.test(each.name));
  return grouped && granularity !== "sentence" ? "phrase" : granularity || "word";
}

/** What stood in for what was left out, in words; empty where nothing was asked for. */
function baselineNote(used, asked) {
  if (!used) return "";
  if (asked?.text) return `the text “${[asked.text.text, asked.text.textPair].filter(Boolean).join("” and “")}”`;
  if (asked?.colour) return `the colour ${asked.colour}`;
  if (asked?.name) return `${asked.name}, a group of ${used.rows ?? 1} ${used.rows === 1 ? "row" : "rows"}`;
  return used.name ?? "";
}
