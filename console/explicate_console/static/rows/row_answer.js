// A scored row as the server would have answered it, so that the marks of every page can draw it.
import { readExplanation } from "/static/answers.js";

const cellOf = (value) => (value === null ? { missing: {} } : typeof value === "number" ? { number: value } : { category: String(value) });
const ENDS = { tolerance: "TOLERANCE", budget: "BUDGET", deadline: "DEADLINE", exact: "EXACT", "top-k": "TOP_K", complete: "COMPLETE" };

/**
 * The view model of a row in full (`row_detail.py`); null if it is not explained.
 * @param {object} row
 * @param {{name: string, group?: string}[]} columns of the model, which say what a group of columns holds
 */
export function readRow(row, columns = []) {
  if (!row.outputs.length) return null;
  const input = inputOf(row);
  const items = row.outputs[0].items;
  return readExplanation({ result: {
    model: { model: row.model.model, version: row.model.version, runtime: row.model.runtime, precision: row.model.precision, bundleDigest: row.model.digest },
    prediction: predictionOf(row),
    explanation: {
      features: featuresOf(row, items, columns), attributions: row.outputs.map((output) => attributionOf(output, items, row)),
      evaluations: row.evaluations ?? 0, stopReason: `STOP_REASON_${ENDS[row.stopReason] ?? "UNSPECIFIED"}`, converged: row.stopReason === "tolerance" || row.stopReason === "exact",
      options: { method: row.options.method ?? "", seed: row.options.seed ?? 0, outputSpace: spaceOf(row) },
    },
  } }, input);
}

function spaceOf(row) {
  if ("value" in row.prediction) return "OUTPUT_SPACE_VALUE";
  return row.options.output_space === "logit" ? "OUTPUT_SPACE_LOGIT" : "OUTPUT_SPACE_PROBABILITY";
}

function inputOf(row) {
  if (row.kind !== "text") return { tabular: { cells: Object.fromEntries(Object.entries(row.input).map(([name, value]) => [name, cellOf(value)])) } };
  return { text: { text: textOf(row, "text"), ...(row.input.text_pair ? { textPair: textOf(row, "text_pair") } : {}) } };
}

const textOf = (row, name) => String(row.input[name] ?? "");

function predictionOf({ prediction }) {
  if ("value" in prediction) return { regression: { value: prediction.value } };
  const scores = prediction.scores;
  if (prediction.labels) return { multiLabel: { scores, predictedLabels: prediction.labels } };
  return { classification: { scores, predictedLabel: prediction.label, predictedIndex: scores.find((each) => each.label === prediction.label)?.index ?? 0 } };
}

function featuresOf(row, items, columns) {
  if (row.kind !== "text") {
    return items.map(({ feature }) => {
      const held = columns.filter((each) => each.group === feature).map((each) => each.name);
      const own = (held.length ? held : [feature]).filter((name) => name in row.input);
      return { column: { name: feature, columns: own.map((name) => ({ column: name, value: cellOf(row.input[name]) })) } };
    });
  }
  const texts = [textOf(row, "text"), textOf(row, "text_pair")];
  let [number, from] = [0, 0];
  return items.map(({ feature }) => { // words come in the order of the text, then those of the pair
    let start = texts[number].indexOf(feature, from);
    if (start < 0 && number === 0 && texts[1].includes(feature)) [number, start] = [1, texts[1].indexOf(feature)];
    if (start >= 0) from = start + feature.length;
    return { text: { text: feature, inPair: number === 1, spans: start < 0 ? [] : [{ utf16Start: start, utf16End: start + feature.length }] } };
  });
}

function attributionOf(output, items, row) {
  const held = new Map(output.items.map((item, place) => [row.kind === "text" && output.items.length === items.length ? place : item.feature, item]));
  const own = items.map((item, place) => held.get(row.kind === "text" && output.items.length === items.length ? place : item.feature) ?? {});
  const sum = own.reduce((total, item) => total + (item.value ?? 0), 0);
  return {
    classLabel: output.label, baselineValue: output.baseline ?? 0, instanceValue: instanceOf(output, row) ?? (output.baseline ?? 0) + sum,
    ...Object.fromEntries([["values", "value"], ["lower", "lower"], ["upper", "upper"]].map(([name, one]) => [name, own.map((item) => item[one] ?? "NaN")])),
  };
}

function instanceOf(output, row) {
  if (spaceOf(row) === "OUTPUT_SPACE_VALUE") return row.prediction.value;
  if (spaceOf(row) === "OUTPUT_SPACE_LOGIT") return null;
  return row.prediction.scores.find((each) => each.label === output.label)?.probability ?? null;
}
