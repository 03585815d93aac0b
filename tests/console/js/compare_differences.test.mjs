import assert from "node:assert/strict";
import { test } from "node:test";
import { pairItems } from "../../../console/explicate_console/static/compare/pairing.js";
import { agreement, differences, halfOfDifference, spearman, tally, toldBy } from "../../../console/explicate_console/static/compare/differences.js";

const item = (name, value, half = 0, more = {}) => ({ place: 0, name, value, lower: value - half, upper: value + half, ...more });
const row = (...items) => ({ kind: "row", items });
const names = ({ pairs }) => pairs.map((pair) => [pair.left.map((each) => each.name), pair.right.map((each) => each.name)]);

/** Words of a text with their places, as an answer has them. */
function words(text) {
  return { kind: "text", items: [...text.matchAll(/\S+/g)].map((found, place) =>
    item(found[0], place, 0, { place, spans: [{ start: found.index, end: found.index + found[0].length }] })) };
}

test("columns pair by name, and a column of one side alone stays alone", () => {
  const found = pairItems(row(item("age", 1), item("job", 2)), row(item("job", 3), item("city", 4)), { sameInput: true });
  assert.deepEqual(names(found), [[["age"], []], [["job"], ["job"]], [[], ["city"]]]);
});

test("a word pairs with the tokens that the other side cut it into", () => {
  const tokens = { kind: "text", items: [
    item("un", 1, 0, { spans: [{ start: 0, end: 2 }] }),
    item("likely", 2, 0, { spans: [{ start: 2, end: 8 }] }),
    item("good", 3, 0, { spans: [{ start: 9, end: 13 }] }),
  ] };
  const found = pairItems(words("unlikely good"), tokens, { sameInput: true });
  assert.deepEqual(names(found), [[["unlikely"], ["un", "likely"]], [["good"], ["good"]]]);
  assert.equal(found.pairs[0].name, "unlikely");
});

test("a word that one method takes once for all its places pairs with each of them on the other side", () => {
  const distinct = { kind: "text", items: [
    item("the", 5, 0, { spans: [{ start: 0, end: 3 }, { start: 8, end: 11 }] }),
    item("cat", 6, 0, { spans: [{ start: 4, end: 7 }] }),
  ] };
  const found = pairItems(words("the cat the"), distinct, { sameInput: true });
  assert.deepEqual(names(found), [[["the", "the"], ["the"]], [["cat"], ["cat"]]]);
});

test("words of the two texts of a pair do not meet at the same place", () => {
  const first = { kind: "pair", items: [item("a", 1, 0, { inPair: false, spans: [{ start: 0, end: 1 }] })] };
  const second = { kind: "pair", items: [item("a", 1, 0, { inPair: true, spans: [{ start: 0, end: 1 }] })] };
  assert.deepEqual(names(pairItems(first, second, { sameInput: true })), [[["a"], []], [[], ["a"]]]);
});

test("two texts are aligned, a word in place of another is a changed one, and an added one is alone", () => {
  const found = pairItems(words("the film was good"), words("the film was very bad"), { sameInput: false });
  assert.deepEqual(names(found), [
    [["the"], ["the"]], [["film"], ["film"]], [["was"], ["was"]], [["good"], []], [[], ["very"]], [[], ["bad"]]]);
  const changed = pairItems(words("so good a film"), words("so bad a film"), { sameInput: false }).pairs[1];
  assert.deepEqual([changed.name, changed.nameRight, changed.changed], ["good", "bad", true]);
});

test("a word that moved to the front leaves the others aligned", () => {
  const found = pairItems(words("a b c d"), words("x a b c d y"), { sameInput: false });
  assert.deepEqual(names(found).filter(([left, right]) => left.length && right.length).length, 4);
});

test("an empty text leaves every part of the other alone", () => {
  assert.deepEqual(names(pairItems(words(""), words("a b"), { sameInput: false })), [[[], ["a"]], [[], ["b"]]]);
});

test("segments of two images are not paired, and the reason is told", () => {
  const image = { kind: "image", items: [item("segment 1", 1)], map: { width: 1, height: 1, places: [0] } };
  assert.match(pairItems(image, image, { sameInput: false }).why, /segments of their own/);
  assert.equal(pairItems(image, image, { sameInput: true }).pairs.length, 1);
  const other = { ...image, map: { width: 1, height: 1, places: [1] } };
  assert.match(pairItems(image, other, { sameInput: true }).why, /cut the image differently/);
});

test("variances of independent estimates add, and others have a bound only", () => {
  assert.equal(halfOfDifference(3, 4), 5);
  assert.equal(halfOfDifference(3, 4, false), 7);
  assert.equal(halfOfDifference(3, null), null);
  assert.equal(halfOfDifference(0, 4), 4);
});

test("differences are right minus left, the farthest first, and beyond chance only outside their interval", () => {
  const { pairs } = pairItems(
    row(item("a", 1, 3), item("b", 1, 0.3), item("c", 9)), row(item("a", 5, 4), item("b", 3, 0.4), item("d", 1)), { sameInput: true });
  const rows = differences(pairs);
  assert.deepEqual(rows.map((each) => each.name), ["a", "b", "c", "d"]);
  assert.deepEqual(rows.map((each) => each.difference), [4, 2, null, null]);
  assert.deepEqual(rows.slice(0, 2).map((each) => each.half), [5, 0.5]);
  assert.deepEqual(rows.map((each) => each.beyond), [false, true, null, null]);
  assert.deepEqual(tally(rows), { beyond: 1, within: 1, unknown: 0, leftOnly: 1, rightOnly: 1 });
});

test("exact sides that differ by no more than the rounding of float32 do not differ", () => {
  const { pairs } = pairItems(row(item("a", 1), item("b", 1)), row(item("a", 1 + 1e-9), item("b", 1.1)), { sameInput: true });
  assert.deepEqual(differences(pairs).map((each) => [each.name, each.beyond]), [["b", true], ["a", false]]);
});

test("without an interval on one side nobody can say whether it is chance", () => {
  const unsure = { ...item("a", 2), lower: null, upper: null };
  const { pairs } = pairItems(row(item("a", 1)), row(unsure), { sameInput: true });
  assert.equal(differences(pairs)[0].beyond, null);
  assert.equal(tally(differences(pairs)).unknown, 1);
});

test("parts that are one on the other side are summed with the bound of their errors", () => {
  const pairs = [{ name: "x", left: [item("x", 1, 1), item("x", 2, 2)], right: [item("x", 3, 4)] }];
  const [only] = differences(pairs);
  assert.deepEqual([only.valueLeft, only.halfLeft, only.difference, only.half], [3, 3, 0, 5]);
});

test("a contrast tells the differences itself, unless a part of it is missing", () => {
  const { pairs } = pairItems(row(item("a", 1, 9), item("b", 2, 9)), row(item("a", 4, 9), item("b", 2, 9)), { sameInput: true });
  const told = toldBy(row(item("a", -3, 0.5), item("b", 0, 0.5)), pairs);
  const rows = differences(pairs, { sign: -1, told });
  assert.deepEqual(rows.map((each) => [each.name, each.difference, each.half, each.beyond]), [["a", -3, 0.5, true], ["b", 0, 0.5, false]]);
  assert.equal(toldBy(row(item("a", -3)), pairs), null);
});

test("agreement counts shared top parts, signs and ranks", () => {
  const { pairs } = pairItems(
    row(item("a", 5), item("b", -4), item("c", 1), item("d", 0.5)),
    row(item("a", 6), item("b", 1), item("c", -7), item("d", 0.2)), { sameInput: true });
  assert.deepEqual(agreement(differences(pairs), 2), { top: 2, shared: 1, both: 4, sameSign: 2, rank: spearman([5, -4, 1, 0.5], [6, 1, -7, 0.2]) });
});

test("rank correlation follows its formula, with ties at their mean rank", () => {
  // 1 - 6 * sum of squared rank differences / (n (n² - 1)), with ranks 1 2 3 4 against 2 1 4 3
  assert.ok(Math.abs(spearman([1, 2, 3, 4], [20, 10, 40, 30]) - (1 - (6 * 4) / (4 * 15))) < 1e-12);
  assert.ok(Math.abs(spearman([1, 1, 2], [1, 1, 2]) - 1) < 1e-12);
  assert.equal(spearman([1, 1, 1], [1, 2, 3]), null);
  assert.equal(spearman([1, 2], [1, 2]), null);
});
