/** The calls that clients of all languages ask, with the same numbers. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { contributions, Explicate, top } from "explicate";
import type { ExplainOptions, ExplainResult } from "explicate";

import { golden, servers } from "./servers.js";
import type { GoldenCall } from "./servers.js";

const client = new Explicate(servers.open);

/** What a program prints of an answer. */
function lines({ prediction, explanation }: ExplainResult): string[] {
  const signed = (value: number) => (value < 0 ? "" : "+") + value.toFixed(6);
  const told = top(explanation, explanation.features.length);
  return [
    `${prediction.probability?.toFixed(6)} ${prediction.label}`,
    ...told.map(({ name, value, lower, upper }) => `${signed(value)} [${signed(lower)}, ${signed(upper)}] ${name}`),
  ];
}

function optionsOf({ options }: GoldenCall): ExplainOptions {
  const { method, seed, max_evaluations: maxEvaluations, top_k: topK } = options;
  return Object.fromEntries(
    Object.entries({ method, seed, maxEvaluations, topK }).filter(([, value]) => value !== null),
  );
}

function assertSame(answer: ExplainResult, { expected }: GoldenCall): void {
  const [attribution] = answer.explanation.attributions;
  assert.equal(answer.model.version, expected.version);
  assert.equal(answer.prediction.probability, expected.probability);
  assert.equal(attribution?.baselineValue, expected.baseline);
  assert.equal(attribution?.instanceValue, expected.instance);
  assert.equal(answer.explanation.evaluations, expected.evaluations);
  const told = contributions(answer.explanation).map(({ name, value, lower, upper, feature }) => ({
    name,
    value,
    lower,
    upper,
    utf16_start: feature.spans[0]?.start ?? null,
    utf16_end: feature.spans[0]?.end ?? null,
  }));
  const wanted = expected.features.map(({ name, value, lower, upper, utf16_start, utf16_end }) => ({
    name,
    value,
    lower,
    upper,
    utf16_start,
    utf16_end,
  }));
  assert.deepEqual(told, wanted);
  assert.deepEqual(lines(answer), expected.lines);
}

for (const call of golden.calls) {
  const input = call.text ?? call.row ?? "";

  test(`the call "${call.name}" has the numbers that the Python client got`, async () => {
    assertSame(await client.explain(call.model, input, optionsOf(call)), call);
  });

  test(`the last answer of a stream of "${call.name}" has them, too`, async () => {
    const answers: ExplainResult[] = [];
    for await (const answer of client.streamExplain(call.model, input, optionsOf(call))) answers.push(answer);
    assert.deepEqual(
      answers.map(({ final }) => final),
      answers.map((_, place) => place === answers.length - 1),
    );
    for (const { explanation } of answers) assert.equal(explanation.features.length, call.expected.features.length);
    assertSame(answers.at(-1) as ExplainResult, call);
  });

  test(`the options of the answer to "${call.name}", given again, repeat it`, async () => {
    const first = await client.explain(call.model, input, optionsOf(call));
    const again = await client.explain(call.model, input, first.explanation.options);
    assert.deepEqual(again.explanation.attributions, first.explanation.attributions);
  });
}
