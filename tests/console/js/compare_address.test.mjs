// The address of a comparison: what it tells comes back as it was, and what it cannot tell is said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromQuery, toQuery } from "../../../console/explicate_console/static/compare/address.js";

const FORM = { differs: "methods", left: { model: "loans", version: 2 }, right: { model: "loans" }, classes: ["no", "yes"], methods: ["kernel-shap", "lime"] };
const there = (options) => toQuery({ ...FORM, options });
const andBack = (options) => fromQuery(new URLSearchParams(String(there(options).query)));

test("a comparison comes back as it was", () => {
  const { differs, left, right, classes, methods, options } = andBack({ method: "auto", seed: "7" });
  assert.deepEqual({ differs, left, right, classes, methods, options }, { differs: "methods", left: FORM.left, right: undefined, classes: [], methods: FORM.methods, options: { seed: "7" } });
});

test("what an explanation is set against goes along, with the language", () => {
  assert.deepEqual(andBack({ baseline: "approved", language: "de" }).options, { language: "de", baseline: "approved" });
  assert.deepEqual(andBack({ baselineBy: "text", baseline: "bad tea & \u{1F375}", baselinePair: "x" }).options, { baseline: "bad tea & \u{1F375}", baselinePair: "x" });
});

test("another row or picture does not, and that is said", () => {
  const row = there({ baselineBy: "row", baselineRow: { age: "40" } });
  assert.equal(row.problem, "The other row goes along only with the input.");
  assert.equal(row.query.has("other-row"), false);
  assert.equal(there({ baselineBy: "picture", baselineImage: { base64: "AA==" } }).problem, "The other picture does not go into links.");
  assert.equal(there({ baseline: "approved" }).problem, "");
});

test("what is at its default is left out, and what an address tells wrong too", () => {
  assert.equal(String(there({ method: "auto", baseline: "", baselineBy: "" }).query), "differs=methods&model=loans&version=2&a=kernel-shap&b=lime");
  assert.deepEqual(fromQuery(new URLSearchParams("differs=nothing&model=loans&version=x&other-row={")).options, {});
});
