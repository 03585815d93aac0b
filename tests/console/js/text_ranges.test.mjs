// Words of texts, as explicate_bundle.players.words tells them: cases of [text, [[start, end]]] in code points.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { codePoint, snapped, words } from "../../../console/explicate_console/static/parts/text_ranges.js";

const cases = JSON.parse(readFileSync(process.env.EXPLICATE_CASES, "utf8"));

test("words are where the server has them", () => {
  assert.ok(cases.length > 100);
  for (const [text, spans] of cases) {
    const found = words(text);
    assert.deepEqual(found.map(({ start, end }) => [codePoint(text, start), codePoint(text, end)]), spans, JSON.stringify(text));
    for (const { first, last } of found) assert.deepEqual(snapped(text, first, last), { start: first, end: last }, JSON.stringify(text));
  }
});
