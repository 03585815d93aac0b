// What the marks compute before they draw.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pieces } from "../../../console/explicate_console/static/marks/pieces.js";
import * as scales from "../../../console/explicate_console/static/marks/scales.js";
import { middles, outlines } from "../../../console/explicate_console/static/marks/segment_map.js";
import { changeFound, changeSearched, notToConclude, stopReason } from "../../../console/explicate_console/static/marks/wording.js";
import { readExplanation } from "../../../console/explicate_console/static/answers.js";

test("pieces joined give the text again, whatever the spans", () => {
  const text = "a 😀 b  شكرا\n";
  const part = (...spans) => ({ spans: spans.map(([start, end]) => ({ start, end, inPair: false })) });
  const cases = [[], [part([0, 1]), part([2, 4])], [part([0, 3]), part([2, 6])], [part([5, 99])], [part([7, 8], [0, 1]), part([2, 4])]];
  for (const items of cases) {
    for (const read of [null, 0, 3, 6, 99]) assert.equal(pieces(text, items, [], { read }).map((piece) => piece.text).join(""), text);
  }
});

test("a piece knows its part, what is fixed, and what was not read", () => {
  const span = (start, end) => ({ spans: [{ start, end, inPair: false }] });
  const found = pieces("one two three four", [span(0, 3), span(8, 13)], [span(4, 7)], { read: 10 });
  assert.deepEqual(found.map(({ text, place, isRead }) => [text, place, isRead]),
    [["one", 0, true], [" ", null, true], ["two", "fixed", true], [" ", null, true], ["three", 1, true], [" four", null, false]]);
});

test("ticks are round, within the range, and few", () => {
  for (const [low, high] of [[0, 1], [-0.26, 0.39], [-3e-7, 2e-7], [0.38, 0.77], [-12345, 99999], [-1, 0]]) {
    const found = scales.ticks(low, high, 5);
    assert.ok(found.length >= 2 && found.length <= 8, `${found}`);
    assert.ok(found.every((tick) => tick >= low - 1e-12 && tick <= high + 1e-12));
    assert.ok(found.every((tick) => /^-?[0-9]*\.?[0-9]*[1-9]?(e.*)?$|^0$/.test(scales.tickText(tick)) && scales.tickText(tick).length < 9));
    if (low <= 0 && high >= 0) assert.ok(found.includes(0));
  }
  assert.deepEqual(scales.ticks(1, 1), []);
  assert.deepEqual(scales.ticks(NaN, 1), []);
});

test("an extent holds 0, the values and the ends of intervals", () => {
  assert.deepEqual(scales.extent([{ value: 0.2, lower: 0.1, upper: 0.4 }, { value: null, lower: null, upper: null }]), [0, 0.4]);
  assert.deepEqual(scales.extent([]), [-1, 1]);
});

test("places go by size, and unknown values come last", () => {
  assert.deepEqual(scales.placesBySize([{ value: 0.1 }, { value: null }, { value: -0.3 }, { value: 0.1 }]), [2, 0, 3, 1]);
});

test("steps lead from the baseline to the sum, with the rest as one", () => {
  const output = { baseline: 1, items: [{ value: 0.5 }, { value: -2 }, { value: 0.25 }] };
  const { steps, end } = scales.steps(output, [1, 0, 2], 1);
  assert.deepEqual(steps.map(({ from, to, rest }) => [from, to, rest ?? null]), [[1, -1, null], [-1, -0.25, 2]]);
  assert.equal(end, -0.25);
});

test("the start of a text is not cut within a character", () => {
  assert.deepEqual(scales.begun("ab😀cd", 3), ["ab", false]);
  assert.deepEqual(scales.begun("abc", 3), ["abc", true]);
});

test("doubt is told from the interval alone", () => {
  assert.equal(scales.doubt({ hasInterval: false }), "unknown");
  assert.equal(scales.doubt({ hasInterval: true, certain: false, lower: -1, upper: 1 }), "unsure");
  assert.equal(scales.doubt({ hasInterval: true, certain: false, lower: 0, upper: 0 }), "sure");
  assert.equal(scales.doubt({ hasInterval: true, certain: true, lower: 1, upper: 2 }), "sure");
});

const answered = (explanation) => readExplanation({ result: { explanation } }, { text: { text: "good film" } });
const FEATURES = [{ text: { text: "good", spans: [{ end: 4, utf16End: 4 }] } }, { text: { text: "film", spans: [{ start: 5, end: 9, utf16Start: 5, utf16End: 9 }] } }];

test("a change says no more than was tried", () => {
  const before = { classLabel: "good", score: 0.9, given: true };
  const none = answered({ features: FEATURES, change: { before, evaluations: "3", noneSmaller: true } });
  assert.equal(changeFound(none), "No change was found that would make the answer another than good 0.900.");
  assert.equal(changeSearched(none), "Every change there is was tried, 3: none gives another answer.");
  const found = answered({ features: FEATURES, change: { found: true, absent: [0, 1], before, after: { classLabel: "bad", score: 0.6, given: true }, evaluations: "4" } });
  assert.equal(changeFound(found), "Without “good” and “film” the answer would be bad 0.600; it is good 0.900.");
  assert.equal(changeSearched(found), "None of fewer words was found; 4 changes were tried.");
});

test("what is unsure is said to be so", () => {
  const unsure = answered({ features: FEATURES, stopReason: "STOP_REASON_BUDGET", attributions: [{ values: [0.1, 0.2], lower: [-0.1, 0.1], upper: [0.3, 0.3] }] });
  assert.match(notToConclude(unsure).join(" "), /One interval here holds 0/);
  const guessed = answered({ features: FEATURES, preview: true, attributions: [{ values: [0.1, 0.2], lower: ["NaN", "NaN"], upper: ["NaN", "NaN"] }] });
  assert.match(notToConclude(guessed).join(" "), /no intervals/);
  assert.match(stopReason(guessed), /preview/);
});

test("the middle of a segment lies in it, and the outline goes around it", () => {
  const rows = ["0000000", "0111110", "0111110", "0111110", "0000222"];
  const map = { width: 7, height: 5, places: Uint16Array.from(rows.join(""), Number) };
  const [ring, square, strip, missing] = middles(map, 4);
  assert.deepEqual(square, { x: 3.5, y: 2.5, across: 5, down: 3 });
  assert.deepEqual(strip, { x: 5.5, y: 4.5, across: 3, down: 1 });
  assert.equal(missing, null);
  assert.equal(map.places[Math.floor(ring.y) * 7 + Math.floor(ring.x)], 0);
  assert.equal(outlines(map, (one, other) => (one === 1) !== (other === 1), 1).length, 2 * (5 + 3));
  assert.equal(outlines(map, (one, other) => (one === 2) !== (other === 2), 2).length, 2 * (3 + 1));
});
