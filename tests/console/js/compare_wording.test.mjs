import assert from "node:assert/strict";
import { test } from "node:test";
import { agreementWords, cautions, differenceWords, predictionWords, unlikeWords } from "../../../console/explicate_console/static/compare/wording.js";
import { differences } from "../../../console/explicate_console/static/compare/differences.js";

const plain = (sentences) => [sentences].flat().map((sentence) => sentence.replace(/[\u2068\u2069]/g, ""));
const part = (name, value, half) => ({ place: 0, name, value, lower: value - half, upper: value + half });
const rowsOf = (...given) => differences(given.map(([name, left, right, half = 0]) => ({ name, left: [part(name, left, half)], right: [part(name, right, half)] })));
const answer = (more = {}) => ({ space: "probability", masking: "attention", confidence: 0.95, outputs: [{ label: "good" }], ...more,
  prediction: { value: null, label: "good", labels: null, scores: [{ label: "good", probability: 0.6 }], ...more.prediction } });
const words = { nouns: "words", decimals: 3, contrast: null, exact: false };

test("two answers for one class are told with their distance in percentage points", () => {
  const other = answer({ prediction: { label: "bad", scores: [{ label: "good", probability: 0.25 }] } });
  assert.deepEqual(plain(predictionWords(answer(), other, { differs: "versions", label: "good" })), [
    "A answers “good”, B answers “bad”.", "The probability of “good” is 60.0% in A and 25.0% in B: 35.0 percentage points lower in B."]);
});

test("two values are told with their distance", () => {
  const of = (value) => answer({ prediction: { value } });
  assert.deepEqual(plain(predictionWords(of(2), of(3.5), { differs: "versions", label: null })), ["A answers 2.000, B answers 3.500: 1.500 higher in B."]);
  assert.match(plain(predictionWords(of(2), of(2), { differs: "versions", label: null }))[0], /the same\.$/);
});

test("that nothing differs beyond chance is not told as sameness", () => {
  const told = plain(differenceWords(rowsOf(["a", 1, 1.1, 1], ["b", 2, 2.1, 1]), words)).join(" ");
  assert.match(told, /^None of 2 words differs by more than chance explains\. That does not say that they are the same/);
  assert.doesNotMatch(told, /farthest/);
});

test("what differs beyond chance is counted, with where it is most", () => {
  assert.deepEqual(plain(differenceWords(rowsOf(["a", 1, 9, 1], ["b", 2, 2.1, 1]), words)), [
    "1 of 2 words differ by more than chance explains; 1 may differ by chance alone.", "They are farthest apart at “a”: +1.000 in A, +9.000 in B."]);
});

test("exact answers know no chance", () => {
  const exact = { ...words, exact: true };
  assert.match(plain(differenceWords(rowsOf(["a", 1, 2]), exact))[0], /Both sides are exact, so none of it is chance/);
  assert.deepEqual(plain(differenceWords(rowsOf(["a", 1, 1]), exact)), ["All 1 words get the same number in A and in B."]);
});

test("a half width is told as it was made: independent, one sample, or the contrast's own", () => {
  const context = { differs: "versions", contrast: null, independent: true, summed: false, paired: 20, exact: false };
  const told = (more) => cautions(answer(), answer(), { ...context, ...more }).join(" ");
  assert.match(told({}), /two seeds.*√\(a² \+ b²\), at 95%/);
  assert.match(told({}), /about 1\.0 of 20 would still look/);
  assert.match(told({ independent: false }), /one sample.*a \+ b, the most that it can be/);
  assert.match(told({ contrast: { label: "good" } }), /interval of its own/);
  assert.doesNotMatch(told({ exact: true }), /half width/);
});

test("different maskings are told, and numbers of two scales are not subtracted", () => {
  const other = answer({ masking: "delete", space: "logit" });
  assert.match(cautions(answer(), other, { differs: "methods", paired: 2, exact: true }).join(" "), /“attention”, B by “delete”/);
  assert.match(unlikeWords(answer(), other), /two scales have no difference/);
  assert.equal(unlikeWords(answer(), answer()), "");
});

test("agreement names how many of the heaviest parts are shared", () => {
  const rows = rowsOf(["a", 9, 8], ["b", 8, 9], ["c", -1, 1], ["d", 1, 1], ["e", 2, 2], ["f", 0.5, 3]);
  assert.equal(agreementWords(rows, words)[0], "Of the 5 words that weigh most in A, 4 are among the 5 of B; 5 of 6 push the same way.");
});
