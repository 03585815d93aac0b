/** What strangers give: each is refused with a typed error that names the field, before or by the server. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  ExplicateError,
  Explicate,
  FailedPrecondition,
  InvalidArgument,
  MessageTooLarge,
  NotFound,
  UsageError,
} from "explicate";
import type { ClientOptions, ExplainCallOptions, Input, Row, Table } from "explicate";

import { ROW, servers } from "./servers.js";

const client = new Explicate(servers.open);

async function refused(asked: Promise<unknown>, field: string | RegExp): Promise<InvalidArgument> {
  const error = await asked.then(
    () => assert.fail(`${field} was answered`),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof InvalidArgument, String(error));
  const fields = error.violations.map((violation) => violation.field);
  assert.ok(
    fields.some((each) => (typeof field === "string" ? each === field : field.test(each))),
    `${fields}: ${error.message}`,
  );
  return error;
}

const withLoneSurrogates = ["tea \ud83d", "\udf75 tea", "tea \udf75\ud83c box", "\ud800"];
for (const text of withLoneSurrogates) {
  test(`a lone surrogate in ${JSON.stringify(text)} is refused, not replaced`, async () => {
    const error = await refused(client.predict("tiny", ["fine", text]), "inputs[1].text");
    assert.match(error.message, new RegExp(`lone surrogate at index ${text.search(/\p{Surrogate}/u)}`));
    await refused(client.explain("tiny", text), "input.text");
    await refused(client.explain("tiny", ["tea", text]), "input.text.text_pair");
    await refused(client.predict("loans", [{ ...ROW, purpose: text }]), "inputs[0].tabular.cells[purpose]");
    await refused(client.predictTable("loans", { purpose: ["car", text] }), "table.columns[purpose].categories");
    await refused(client.explain("tiny", "tea", { target: text }), "options.target.label");
    await refused(client.getModel(text), "model");
  });
}

test("numbers that the wire cannot hold are refused by name", async () => {
  const cases: [Record<string, unknown>, string | RegExp][] = [
    [{ seed: -1 }, "options.seed"],
    [{ seed: 2 ** 32 }, "options.seed"],
    [{ seed: 1.5 }, "options.seed"],
    [{ seed: 3n }, "options.seed"],
    [{ seed: "3" }, "options.seed"],
    [{ maxEvaluations: NaN }, "options.max_evaluations"],
    [{ maxEvaluations: Infinity }, "options.max_evaluations"],
    [{ maxEvaluations: 2 ** 31 }, "options.max_evaluations"],
    [{ maxEvaluations: 1 }, "options.max_evaluations"],
    [{ tolerance: NaN }, "options.tolerance"],
    [{ tolerance: "0.1" }, "options.tolerance"],
    [{ confidence: 2 }, "options.confidence"],
    [{ masking: "magic" }, "options.masking"],
    [{ masking: "" }, "options.masking"],
    [{ granularity: 1 }, "options.granularity"],
    [{ method: 7 }, "options.method"],
    [{ target: 1.5 }, "options.target.index"],
    [{ target: 99 }, /^options\.target/],
    [{ target: 1n }, "options.target"],
    [{ target: {} }, "options.target"],
    [{ target: { target: "great", reference: null } }, "options.target.contrast.reference"],
    [{ target: { target: "great", reference: "great" } }, /^options\.target/],
    [{ toleranse: 0.1 }, "options.toleranse"],
    [{ constructor: 1 }, "options.constructor"],
    [{ version: 1.5 }, "version"],
    [{ version: 2 ** 31 }, "version"],
    [{ priority: "urgent" }, "priority"],
    [{ requestId: "two words" }, "request_id"],
  ];
  for (const [options, field] of cases) {
    await refused(client.explain("tiny", "good tea", options as ExplainCallOptions), field);
  }
});

test("a label that the model does not have is refused with those that it has", async () => {
  const error = await refused(client.explain("tiny", "good tea", { target: "graet" }), /^options\.target/);
  assert.match(error.message, /great/);
  assert.equal(error.reason, "INVALID_FIELD");
  assert.notEqual(error.requestId, "");
});

test("what is no input is refused with what would be one", async () => {
  const strange: [unknown, string | RegExp][] = [
    [undefined, "input"],
    [null, "input"],
    [7, "input"],
    [7n, "input"],
    [true, "input"],
    [new Date(0), "input"],
    [new Map([["a", 1]]), "input"],
    [() => 1, "input"],
    [["one"], "input.text"],
    [["one", 2], "input.text.text_pair"],
    [["one", "two", "three"], "input.text"],
    ["", /text/],
    ["tea\u0000", /text/],
  ];
  for (const [input, field] of strange) await refused(client.explain("tiny", input as Input), field);
  await assert.rejects(client.predict("tiny", "good tea" as never), UsageError);
  await refused(client.predict("tiny", []), "inputs");
  await refused(client.explain(7 as never, "tea"), "model");
});

test("cells that no column takes are refused, each with its column", async () => {
  const cells: [unknown, RegExp | string][] = [
    [NaN, /age/],
    [Infinity, /age/],
    [2n ** 64n + 1n, "input.tabular.cells[age]"],
    [new Date(0), "input.tabular.cells[age]"],
    [{}, "input.tabular.cells[age]"],
    [[1], "input.tabular.cells[age]"],
    [Symbol("a"), "input.tabular.cells[age]"],
    ["seven", /age/],
  ];
  for (const [age, field] of cells) await refused(client.explain("loans", { ...ROW, age } as Row), field);
  const { age: _, ...short } = ROW;
  await refused(client.explain("loans", short as Row), /cells/);
  await refused(client.explain("loans", { ...ROW, aeg: 1 }), /aeg/);
  await refused(client.explain("loans", { ...ROW, ["__proto__"]: 1, [""]: 2 }), /cells/);
});

test("tables that are none are refused", async () => {
  const tables: [unknown, RegExp | string][] = [
    [{ age: [1, "two"] }, "table.columns[age]"],
    [{ age: [new Date(0), "two"] }, "table.columns[age].categories"],
    [{ age: "1" }, "table.columns[age]"],
    [{ age: 1 }, "table.columns[age]"],
    [[], /table/],
    [{}, /table/],
    [[null], "table"],
    ["text", "table"],
    [[ROW, 7], "table"],
    [[[1, 2]], "table"],
    [null, "table"],
    [new Map(), "table"],
    [new Uint8Array(3), "table"],
  ];
  for (const [table, field] of tables) await refused(client.explainTable("loans", table as Table), field);
  await assert.rejects(
    client.predictTable("loans", { age: [1], income: [1, 2] }),
    /different lengths: age 1, income 2/,
  );
});

test("a model, version or label that is not there is named", async () => {
  const error = await client.predict("none", ["tea"]).catch((caught: unknown) => caught);
  assert.ok(error instanceof NotFound);
  assert.deepEqual(
    [error.code, error.reason, error.resource],
    ["NOT_FOUND", "MODEL_NOT_FOUND", { type: "model", name: "none" }],
  );
  await assert.rejects(client.getModel("tiny", { version: 9 }), NotFound);
  await assert.rejects(client.explain("tiny", "tea", { label: "canary" }), NotFound);
  await assert.rejects(client.health({ model: "none" }), NotFound);
  await assert.rejects(client.explain("tiny", "tea", { version: 1, label: "live" }), UsageError);
});

test("an input of another kind is refused by its kind", async () => {
  await assert.rejects(client.explain("tiny", ROW), FailedPrecondition);
  await assert.rejects(client.explain("loans", "tea"), FailedPrecondition);
  await assert.rejects(client.explainTable("tiny", [ROW]), ExplicateError);
});

test("a text and a message that are too large are refused, and the next call is answered", async () => {
  const error = await refused(client.explain("tiny", "tea 🍵 ".repeat(20_000)), /text/);
  assert.match(error.message, /65,?536|64/);
  await assert.rejects(client.predict("tiny", [new Uint8Array(17 << 20)]), MessageTooLarge);
  assert.equal((await client.predict("tiny", ["tea"])).predictions.length, 1);
});

test("options of the client that cannot be meant are refused at once", () => {
  const tries: [string, ClientOptions][] = [
    ["models.internal:8500", { token: "secret" }],
    ["127.0.0.1:8500", { token: "" }],
    ["127.0.0.1:8500", { token: "två ord" }],
    ["127.0.0.1:8500", { tls: { cert: "PEM" } }],
    ["127.0.0.1:8500", { timeoutMs: -1 }],
    ["127.0.0.1:8500", { timeoutMs: NaN }],
    ["https://models.internal", {}],
    ["127.0.0.1:8500", { tls: { cert: "no certificate", key: "no key" } }],
    ["", {}],
  ];
  for (const [target, options] of tries) assert.throws(() => new Explicate(target, options), UsageError, target);
  for (const target of ["localhost:8500", "[::1]:8500", "unix:/run/explicate.sock", "ipv4:127.0.0.1:1,127.0.0.2:2"]) {
    new Explicate(target, { token: "secret" }).close();
  }
});
