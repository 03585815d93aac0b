// The page reads an answer as the Python client does: answers and what Python reads come from test_page_modules.py.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readExplanation, readInput, streamReader } from "../../../console/explicate_console/static/answers.js";

const cases = JSON.parse(readFileSync(process.env.EXPLICATE_CASES, "utf8"));

/** What Python wrote of the same answer, in the words of the view model. */
function summary(answer) {
  const { prediction } = answer;
  return {
    kind: answer.kind, final: answer.final, preview: answer.preview, decimals: answer.decimals, space: answer.space,
    method: answer.method, masking: answer.masking, granularity: answer.granularity, stopReason: answer.stopReason,
    evaluations: answer.evaluations, seed: answer.seed, sentences: answer.sentences, noun: answer.noun, nouns: answer.nouns,
    label: prediction.label, labels: prediction.labels, value: prediction.value,
    scores: prediction.scores.map(({ label, probability, logit, threshold }) => [label, probability, logit, threshold]),
    fixed: answer.fixed.map(({ name }) => name),
    quality: answer.quality,
    outputs: answer.outputs.map((output) => ({
      name: output.name, against: output.against, baseline: output.baseline, instance: output.instance,
      items: output.items.map((item) => ({
        place: item.place, name: item.name, value: item.value, error: item.error, lower: item.lower, upper: item.upper,
        certain: item.certain, instead: item.instead, cells: { ...item.cells },
        written: item.spans.map(({ start, end, inPair }) => answer.input.texts[inPair ? 1 : 0].slice(start, end)),
      })),
      interactions: output.interactions.map((pair) => [pair.first, pair.second, pair.value, pair.lower, pair.upper, pair.certain]),
    })),
    places: answer.segmentMap && { width: answer.segmentMap.width, height: answer.segmentMap.height, places: [...answer.segmentMap.places] },
    sections: answer.sections.map(({ text, first, count, values }) => [text, first, count, values.map(({ value, lower, upper }) => [value, lower, upper])]),
    change: answer.change && { found: answer.change.found, absent: answer.change.absent, end: answer.change.end, after: answer.change.after?.label ?? null,
      columns: answer.change.columns.map(({ column, before, after }) => [column, before, after]) },
  };
}

for (const { name, input, responses, expected } of cases) {
  test(`reads ${name}`, () => {
    const read = streamReader(input);
    assert.deepEqual(responses.map((response) => summary(read(response))), expected);
  });
}

test("there are cases", () => assert.ok(cases.length > 5));

test("an empty answer is read without a failure", () => {
  const answer = readExplanation({}, null);
  assert.deepEqual([answer.outputs, answer.sentences, answer.segmentMap, answer.prediction.scores], [[], [], null, []]);
});

test("a segment map that does not fit is none", () => {
  const explanation = { features: [{ segment: {} }], segmentMap: { width: 2, height: 2, encoding: "SEGMENT_ID_ENCODING_UINT16_LITTLE_ENDIAN", ids: "AAA=" } };
  assert.equal(readExplanation({ result: { explanation } }, null).segmentMap, null);
});

test("a column may have the name of a property of every object", () => {
  const input = JSON.parse('{"tabular": {"cells": {"__proto__": {"number": 1}, "constructor": {"category": "x"}}}}');
  assert.deepEqual(Object.entries(readInput(input).cells), [["__proto__", 1], ["constructor", "x"]]);
});

test("one input has one address of its image", () => {
  const input = { image: { content: "aGFsbG8_-w==" } };
  assert.equal(readInput(input).image, readInput(input).image);
  assert.equal(readInput(input).blob.size, 7);
});
