// Numbers read alike on the page and in every other view: cases and what Python writes come from test_page_modules.py.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as format from "../../../console/explicate_console/static/format.js";

const cases = JSON.parse(readFileSync(process.env.EXPLICATE_CASES, "utf8"));
const read = (given) => (typeof given === "string" ? Number(given) : given);

test("every case of Python is written alike", () => {
  assert.ok(cases.length > 1000);
  for (const { function: name, values, decimals, expected } of cases) {
    const numbers = values.map(read);
    const given = {
      number: () => format.number(numbers[0], decimals), plainNumber: () => format.plainNumber(numbers[0], decimals),
      decimalsFor: () => format.decimalsFor(numbers[0], decimals), cell: () => format.cell(numbers[0]),
      halfWidth: () => format.halfWidth({ lower: numbers[0], upper: numbers[1] }, decimals),
      interval: () => format.interval({ lower: numbers[0], upper: numbers[1] }, decimals),
    }[name]();
    assert.equal(given, expected, `${name}(${values}, ${decimals})`);
  }
});

test("cells that are no numbers are written as they are", () => {
  assert.deepEqual([null, "clerk", true, ""].map(format.cell), ["missing", "clerk", "true", ""]);
});

test("what is not known is a dash", () => {
  const written = [format.number(null), format.plainNumber(undefined), format.share(null), format.count(null), format.bytes(null),
    format.seconds(undefined), format.when("never"), format.valueText(null)];
  assert.deepEqual(written, Array(8).fill("–"));
  assert.equal(format.halfWidth({ lower: null, upper: 1 }), "");
});

test("a share never reads as nothing or all where it is not", () => {
  assert.deepEqual([0, 0.0004, 0.0005, 0.5941, 0.9994, 0.9996, 1].map(format.share), ["0%", "<0.1%", "0.1%", "59.4%", "99.9%", ">99.9%", "100%"]);
});

test("counts, sizes and times have their units", () => {
  assert.deepEqual(["1234567", 999, -1000, 0].map(format.count), ["1,234,567", "999", "-1,000", "0"]);
  assert.deepEqual([0, 999, 1000, 99940, 99960, 999960, 2.5e9].map(format.bytes), ["0 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "1.0 MB", "2.5 GB"]);
  assert.deepEqual([0, 0.0001, 0.012, 0.25, 9.999, 61, 3725].map(format.seconds), ["0 ms", "<1 ms", "12 ms", "0.25 s", "10.0 s", "1 min 1 s", "1 h 2 min"]);
  assert.equal(format.when("2026-11-27T12:34:56.789Z"), "2026-11-27 12:34:56 UTC");
});

test("decimals follow the largest value, and of a regression its digits", () => {
  assert.equal(format.decimalsOf([0.0012, -0.0007, null], "probability"), 4);
  assert.equal(format.decimalsOf([0.4], "probability"), 3);
  assert.equal(format.decimalsOf([1532], "value"), 0);
});
