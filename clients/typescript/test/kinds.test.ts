/** Every kind of input, every method of the client. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";

import { Cancelled, Explicate, FailedPrecondition, InvalidArgument, NotFound, UsageError } from "explicate";
import type { Row } from "explicate";

import { guardedClient, LONG_TEXT, ROW, servers } from "./servers.js";

const client = new Explicate(servers.open);
const guarded = guardedClient();
after(() => guarded.close());

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const close = (one: number, other: number, most = 1e-9) =>
  assert.ok(Math.abs(one - other) <= most, `${one} is not ${other}`);

test("predictions come in the order of their texts", async () => {
  const { predictions, model, timing } = await client.predict("tiny", ["good tea", "bad box", "good tea"]);
  assert.equal(model.model, "tiny");
  assert.ok(timing.totalSeconds > 0);
  assert.deepEqual(predictions[0], predictions[2]);
  assert.notEqual(predictions[0]?.probability, predictions[1]?.probability);
  for (const { index, label, probability, scores, textUsage } of predictions) {
    close(sum(scores.map((score) => score.probability)), 1);
    assert.equal(probability, Math.max(...scores.map((score) => score.probability)));
    assert.equal(label, scores[index as number]?.label);
    assert.equal(textUsage?.truncated, false);
  }
});

test("a span cuts its word out of the text, also after emoji, from right to left, and among long texts", async () => {
  const texts = [
    "good 👍🏽 tea 👨‍👩‍👧 box 𝄞 late",
    "الشاي جيد 🍵 لكن الصندوق سيئ",
    "שלום 🙂 tea עולם",
    "味道好 🍵 tea",
    "e\u0301te\u0301 tea\u0000".replace("\u0000", ""),
  ];
  for (const text of texts) {
    const { explanation } = await client.explain("tiny", text, { maxEvaluations: 64 });
    assert.ok(explanation.features.length > 1);
    for (const { name, spans } of explanation.features) {
      assert.ok(spans.length > 0);
      for (const { start, end } of spans) assert.equal(text.slice(start, end), name);
    }
  }
});

test("a text of 10,000 characters says how much of it was seen, in JavaScript's own units", async () => {
  const text = "good 👍🏽 tea ".repeat(800);
  const { prediction, explanation } = await client.explain("tiny", text, { maxEvaluations: 64 });
  const { truncated, utf16Used, charactersUsed } = prediction.textUsage ?? assert.fail("no usage");
  assert.ok(truncated && utf16Used < text.length && charactersUsed < utf16Used);
  const seen = text.slice(0, utf16Used);
  assert.equal([...seen].length, charactersUsed);
  assert.equal(explanation.features.at(-1)?.spans.at(-1)?.end, seen.trimEnd().length);
});

test("a pair of texts has the spans of both", async () => {
  const pair = ["is the 🍵 good", "the 🍵 is bad tea"] as const;
  const [prediction] = (await guarded.predict("entails", [pair])).predictions;
  assert.equal(prediction?.textUsage?.pairUtf16Used, pair[1].length);
  const { explanation } = await guarded.explain("entails", pair, { maxEvaluations: 64 });
  assert.deepEqual(new Set(explanation.features.map(({ inPair }) => inPair)), new Set([false, true]));
  for (const { name, spans, inPair } of explanation.features) {
    for (const { start, end } of spans) assert.equal(pair[inPair ? 1 : 0].slice(start, end), name);
  }
});

test("a row is explained by its columns and groups, and adds up", async () => {
  const { prediction, explanation } = await client.explain("loans", ROW, { target: { all: true } });
  assert.equal(explanation.attributions.length, prediction.scores.length);
  for (const { values, baselineValue, instanceValue } of explanation.attributions) {
    close(sum(values) + baselineValue, instanceValue, 1e-6);
  }
  const debts = explanation.features.find(({ name }) => name === "debts");
  assert.deepEqual(debts?.values, { debt_short: -0.25, debt_long: null });
  assert.deepEqual(explanation.options.target, { all: true });
  assert.equal(explanation.options.masking, "background");
  assert.equal(typeof explanation.evaluations, "number");
});

test("missing cells may be undefined, null or absent from a table's rows; a bigint is a number", async () => {
  const of = async (row: Row) => (await client.predict("loans", [row])).predictions[0]?.probability;
  assert.equal(await of({ ...ROW, debt_long: undefined }), await of(ROW));
  assert.equal(await of({ ...ROW, age: 3n }), await of({ ...ROW, age: 3 }));
  assert.equal(await of({ ...ROW, owner: "true" }), await of(ROW));
  const { debt_long: _, ...short } = ROW;
  const { probabilities } = await client.predictTable("loans", [ROW, short as Row, { ...ROW, debt_long: NaN }]);
  assert.deepEqual(probabilities[1], probabilities[0]);
  assert.deepEqual(probabilities[2], probabilities[0]);
  const columns = Object.fromEntries(Object.entries(ROW).map(([name, value]) => [name, [value]]));
  const packed = await client.predictTable("loans", {
    ...columns,
    age: Float64Array.of(0.75),
    debt_long: Float32Array.of(NaN),
  });
  assert.deepEqual(packed.probabilities[0], probabilities[0]);
});

test("an unknown category is answered, and its column is named", async () => {
  const { predictions } = await client.predict("loans", [{ ...ROW, purpose: "a yacht 🛥" }]);
  assert.deepEqual(predictions[0]?.unknownCategoryColumns, ["purpose"]);
});

test("a regression answers with a value, alone and in a table", async () => {
  const { predictions } = await guarded.predict("losses", [ROW]);
  const [prediction] = predictions;
  assert.equal(prediction?.label, undefined);
  assert.equal(prediction?.probability, undefined);
  const { values, classLabels } = await guarded.predictTable("losses", [ROW]);
  close(values[0] as number, prediction?.value as number, 1e-5);
  assert.deepEqual(classLabels, []);
});

test("a table is explained row by row as its rows are alone, by rows and by columns", async () => {
  const rows = [ROW, { ...ROW, income: -1 }, { ...ROW, purpose: null }];
  const columns = Object.fromEntries(Object.keys(ROW).map((name) => [name, rows.map((row) => (row as Row)[name])]));
  const options = { method: "exact-shap" };
  const [whole, byColumns] = await Promise.all([
    client.explainTable("loans", rows, options),
    client.explainTable("loans", columns, options),
  ]);
  assert.deepEqual(byColumns.attributions, whole.attributions);
  for (const [place, row] of rows.entries()) {
    const alone = await client.explain("loans", row, options);
    const [mine, its] = [whole.attributions[0]?.values[place], alone.explanation.attributions[0]?.values];
    assert.equal(mine?.length, whole.features.length);
    for (const [feature, value] of (mine ?? []).entries()) close(value, its?.[feature] as number, 1e-6);
    assert.equal(whole.predictions.labels[place], alone.prediction.label);
    assert.equal(whole.stopReasons[place], alone.explanation.stopReason);
  }
});

test("an image comes back with a segment for every pixel", async () => {
  const image = readFileSync(servers.guarded.image);
  const { explanation, prediction } = await guarded.explain("animals", image, {
    granularity: "grid",
    segments: 9,
    seed: 1,
  });
  const { width, height, ids } = explanation.segmentMap ?? assert.fail("no segment map");
  assert.equal(ids.length, width * height);
  assert.deepEqual(
    [...new Set(ids)].sort((one, other) => one - other),
    explanation.features.map(({ segment }) => segment?.id),
  );
  for (const { segment } of explanation.features)
    assert.equal(ids.filter((id) => id === segment?.id).length, segment?.pixels);
  assert.equal(prediction.imageUsage?.frames, 1);
  const bytes = image.buffer.slice(image.byteOffset, image.byteOffset + image.byteLength) as ArrayBuffer;
  assert.deepEqual((await guarded.predict("animals", [bytes])).predictions[0]?.scores, prediction.scores);
});

test("models are listed and described without bigint, so that JSON takes them", async () => {
  const statuses = await client.listModels();
  assert.deepEqual(
    statuses
      .filter(({ model }) => ["loans", "tiny"].includes(model))
      .map(({ model, state, inputKind, objective }) => [model, state, inputKind, objective]),
    [
      ["loans", "ready", "tabular", "classification"],
      ["tiny", "ready", "text", "classification"],
    ],
  );
  const described = await client.getModel("tiny");
  assert.equal(described.limits?.maxImageBytes, 8 << 20);
  assert.ok(described.methods.includes("kernel-shap"));
  assert.deepEqual(described.bundle?.classLabels, ["other", "great"]);
  assert.ok(described.bundle?.createTime instanceof Date);
  assert.ok(
    described.defaultOptions.some(({ method, masking }) => method === "kernel-shap" && masking === "attention"),
  );
  assert.ok(JSON.stringify(described).includes('"maxTextBytes":65536'));
  assert.equal((await client.getModel("tiny", { version: 1 })).status?.version, 1);
  assert.equal((await client.getModel("tiny", { label: "live" })).status?.version, 1);
});

test("health tells of the server, of a model, and of the process", async () => {
  assert.equal(await client.health(), "serving");
  assert.equal(await client.health({ model: "tiny" }), "serving");
  assert.equal(await client.health({ alive: true }), "serving");
  await client.waitReady({ model: "tiny" });
});

test("what else is asked of an explanation reaches the server", async () => {
  const contrast = { target: "great", reference: 0 };
  const { explanation } = await client.explain("tiny", LONG_TEXT, {
    method: "kernel-shap",
    target: contrast,
    masking: "mask-token",
    granularity: "token",
    maxEvaluations: 128,
    confidence: 0.8,
    seed: 2 ** 32 - 1,
    quality: "full",
    priority: "bulk",
    requestId: "from-node:1",
  });
  const { options, quality, attributions } = explanation;
  assert.deepEqual(options.target, { target: "great", reference: 0 });
  assert.deepEqual([options.masking, options.granularity, options.quality], ["mask-token", "token", "full"]);
  assert.deepEqual([options.confidence, options.seed, options.outputSpace], [0.8, 2 ** 32 - 1, "logit"]);
  assert.equal(attributions[0]?.referenceLabel, "other");
  assert.equal(typeof quality?.comprehensiveness?.value, "number");
});

test("many inputs, more at once than the server takes, come in order, each with its own answer", async () => {
  const texts = Array.from({ length: 60 }, (_, place) => `tea ${"good ".repeat(place % 7)}box ${place}`);
  texts[17] = "tea \ud83d";
  const warnings: Error[] = [];
  process.on("warning", (warning) => warnings.push(warning));
  let place = 0;
  for await (const { index, input, result, error } of client.explainMany("tiny", texts, {
    inFlight: 50,
    maxEvaluations: 32,
  })) {
    assert.equal(index, place);
    assert.equal(input, texts[place]);
    if (place === 17) assert.ok(error instanceof InvalidArgument && result === undefined);
    else assert.equal(result?.explanation.features.map(({ name }) => name).join(" "), input);
    place += 1;
  }
  assert.equal(place, texts.length);
  assert.deepEqual(warnings, []);
});

test("endless inputs are read as their outcomes are taken, until the loop is left or the signal says so", async () => {
  let read = 0;
  const endless = async function* () {
    for (;;) yield `tea ${(read += 1)}`;
  };
  for await (const { index } of client.explainMany("tiny", endless(), { inFlight: 3 })) if (index === 4) break;
  assert.ok(read <= 5 + 3, `${read} inputs were read`);
  const controller = new AbortController();
  const stopped = async () => {
    const many = client.explainMany("tiny", ["a", "b", "c", "d"], { inFlight: 2, signal: controller.signal });
    for await (const { index } of many) if (index === 1) controller.abort();
  };
  await assert.rejects(stopped(), Cancelled);
});

test("an error that all inputs would have ends the loop over them", async () => {
  const asked = async (model: string, options: object) => {
    for await (const { error } of client.explainMany(model, ["a", "b", "c"], options)) assert.equal(error, undefined);
  };
  await assert.rejects(asked("none", {}), NotFound);
  await assert.rejects(asked("tiny", { seed: -1 }), InvalidArgument);
  await assert.rejects(asked("loans", {}), FailedPrecondition);
  await assert.rejects(asked("tiny", { inFlight: 0 }), UsageError);
});
