// Which parts of an input are one player or always there: ranges that cut no word, boxes, messages, addresses, Python.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boxBetween, boxOf } from "../../../console/explicate_console/static/parts/boxes.js";
import * as players from "../../../console/explicate_console/static/parts/players.js";
import { changeLiteral, groupsLiteral, partsLiteral } from "../../../console/explicate_console/static/parts/python.js";
import { rangeAfter, snapped } from "../../../console/explicate_console/static/parts/text_ranges.js";

const TEXT = { bundle: { text: { pairs: false } } };
const PAIR = { bundle: { text: { pairs: true } } };
const ROW = { bundle: { tabular: { columns: [{ name: "income" }, { name: "debt_short", group: "debt" }, { name: "debt_long", group: "debt" }, { name: "age" }] } } };
const IMAGE = { bundle: { image: {} } };

/** What a selection of `chosen` in a text means. */
function taken(text, chosen) {
  const start = text.indexOf(chosen);
  const range = snapped(text, start, start + chosen.length);
  return range && text.slice(range.start, range.end);
}

test("a selection is widened to the words that it touches, without the punctuation around them", () => {
  const text = "It is (not) well-made, don't buy 3.50!";
  for (const [chosen, words] of [["ot) w", "not) well-made"], ["(", null], ["on'", "don't"], [".5", "3.50"], ["y 3", "buy 3.50"], ["s", "is"], [", ", null]]) assert.equal(taken(text, chosen), words, chosen);
});

test("accents, emoji and scripts without spaces are cut nowhere within a character", () => {
  assert.equal(taken("un cafe\u0301 noir", "afe"), "cafe\u0301");
  assert.equal(taken("so 👩‍👩‍👧 good", "\u200d"), "👩‍👩‍👧");
  assert.equal(taken("我不喜欢", "不喜"), "不喜");
  assert.equal(taken("שלום עולם", "לו"), "שלום");
  assert.equal(taken("हिन्दी भाषा", "न"), "हिन्दी");
});

const ranged = (text, words, to, inPair = false) => ({ range: { start: text.indexOf(words), end: text.indexOf(words) + words.length, inPair }, to });
const held = (groups, ...parts) => ({ groups, parts, dropped: [] });

test("ranges are sent in code points, and those of a second text say so", () => {
  const text = "😀 so good";
  const textPair = "🏳️‍🌈 very good";
  const chosen = held([{ id: 1, name: "both" }], ranged(text, "good", 1), ranged(textPair, "good", 1, true), ranged(text, "so", "fixed"));
  assert.deepEqual(players.playersMessage(PAIR, chosen, { text, textPair }), {
    groups: [{ name: "both", parts: [{ range: { start: 5, end: 9 } }, { range: { start: 10, end: 14, inPair: true } }] }], fixed: [{ range: { start: 2, end: 4 } }],
  });
  assert.deepEqual(players.playersMessage(TEXT, chosen, { text, textPair }).groups[0].parts, [{ range: { start: 5, end: 9 } }]);
});

test("what does not fit the model or the text is not sent, nor a group without parts", () => {
  const chosen = held([{ id: 1, name: "g" }, { id: 2, name: "h" }], { column: "income", to: 1 }, { column: "gone", to: 2 }, { column: "debt", to: "fixed" }, { column: "debt_long", to: "fixed" });
  assert.deepEqual(players.playersMessage(ROW, chosen), { groups: [{ name: "g", parts: [{ name: "income" }] }], fixed: [{ name: "debt" }] });
  assert.deepEqual(players.playersMessage(IMAGE, chosen), {});
  assert.deepEqual(players.playersMessage(TEXT, held([], ranged("a good film", "oo", "fixed")), { text: "a good film" }), {});
  assert.deepEqual(players.playersMessage(ROW, undefined), {});
});

test("a box is sent as it is", () => {
  const box = { left: 1.5, top: 0, right: 9, bottom: 4 };
  assert.deepEqual(players.playersMessage(IMAGE, held([], { box, to: "fixed" })), { fixed: [{ box }] });
});

test("a part has one owner: the last choice counts, and a group without parts goes", () => {
  let now = players.withPart(undefined, { column: "income" }, "new", ["group 1"]);
  assert.deepEqual(now.groups, [{ id: 1, name: "group 2" }]);
  now = players.withPart(now, { column: "age" }, 1);
  now = players.withPart(now, { column: "income" }, "fixed");
  assert.deepEqual(now.parts, [{ column: "age", to: 1 }, { column: "income", to: "fixed" }]);
  now = players.withPart(now, { column: "age" }, "fixed");
  assert.deepEqual(now.groups, []);
  const text = "a very good film";
  const words = players.withPart(players.withPart(undefined, { range: ranged(text, "very good").range }, "new"), { range: ranged(text, "good").range }, "fixed");
  assert.deepEqual(words.parts.map(({ to }) => to), ["fixed"]);
  assert.equal(players.withPart(words, { range: { ...ranged(text, "good").range, inPair: true } }, "new").parts.length, 2);
});

test("an edit moves the ranges behind it, and drops and tells those whose words it changes", () => {
  const text = "a good film, not bad";
  const input = { text, textPair: "", players: held([{ id: 1, name: "g" }], ranged(text, "good", "fixed"), ranged(text, "not bad", 1)) };
  const words = ({ text: now, players: { parts } }) => parts.map(({ range }) => now.slice(range.start, range.end));
  for (const [now, left] of [["a 😀 good film, not bad", ["good", "not bad"]], ["a good film, not bad at all", ["good", "not bad"]], ["a good, old film, not bad", ["good", "not bad"]],
    ["a goods film, not bad", ["not bad"]], ["a good film, not so bad", ["good"]], ["a good film, not badly", ["good"]], ["", []], ["a good good film, not bad", ["good", "not bad"]]]) {
    const after = players.withTexts(input, { text: now });
    assert.deepEqual(words(after), left, now);
    assert.equal(after.players.parts.length + after.players.dropped.length, 2, now);
    assert.deepEqual(after.players.groups.length, left.includes("not bad") ? 1 : 0, now);
  }
  assert.deepEqual(players.withTexts(input, { text: "a goods film, not bad" }).players.dropped, ["good"]);
  assert.equal(players.withTexts({ text: "a", players: undefined }, { text: "b" }).players, undefined);
});

test("a range stays whole words wherever a text is edited", () => {
  const text = "no 😀 good, old film";
  const range = ranged(text, "good, old").range;
  for (let at = 0; at <= text.length; at += 1) {
    for (const typed of ["x", " ", "good, old ", "\u0301", "😀"]) {
      const after = text.slice(0, at) + typed + text.slice(at);
      const now = rangeAfter(range, text, after);
      if (now) assert.equal(after.slice(now.start, now.end), "good, old", `${at} ${typed}`);
      if (now) assert.deepEqual(snapped(after, now.start, now.end), now);
      if (!now) assert.ok(at >= range.start && at <= range.end, `${at} ${typed}`);
    }
  }
});

test("names of groups are told to be wrong in the server's words, and at the server's paths", () => {
  const named = (...names) => held(names.map((name, place) => ({ id: place + 1, name })), ...names.map((_, place) => ({ column: ["income", "debt"][place], to: place + 1 })));
  const wrong = (...names) => players.playerProblems(ROW, named(...names)).map(({ field, description }) => [field, description.split(";")[0]]);
  assert.deepEqual(wrong(" "), [["options.groups[0].name", "must be 1 to 100 printable characters, not only spaces"]]);
  assert.deepEqual(wrong("g", "g"), [["options.groups[1].name", "comes twice"]]);
  assert.deepEqual(wrong("age"), [["options.groups[0].name", "is the name of a column outside of the group"]]);
  assert.deepEqual(wrong("income", "😀".repeat(100)), []);
  assert.equal(wrong("a\u202eb", "x".repeat(101)).length, 2);
});

test("an error is shown at the name or the part that it is about", () => {
  const { groups, fixed } = players.placed(ROW, held([{ id: 7, name: "a]b" }], { column: "income", to: 7 }, { column: "age", to: "fixed" }));
  assert.equal(groups[0].parts[0].path, "options.groups[a]b].parts[0]");
  assert.equal(fixed[0].path, "options.fixed[0]");
  const errors = ["options.groups[a]b].parts[0]", "options.groups[a]b]", "options.groups[0].name", "options.groups"].map((field) => ({ field, description: "x" }));
  assert.deepEqual(players.groupErrors(errors, groups[0], 0).map(({ field }) => field), ["options.groups[a]b]", "options.groups[0].name"]);
});

test("an address tells columns and ranges, and what is wrong in one is passed over", () => {
  const chosen = held([{ id: 1, name: "grou\"p &" }], { column: "a&b", to: 1 }, { column: "c", to: "fixed" });
  const query = new URLSearchParams();
  players.setPlayers(query, chosen);
  assert.deepEqual(players.playersOf(new URLSearchParams(String(query)), "column"), chosen);
  assert.equal(players.playersOf(query, "range"), undefined);
  const words = held([], { range: { start: 0, end: 4, inPair: true }, to: "fixed" }, { range: { start: 5, end: 9, inPair: false }, to: "fixed" });
  const other = new URLSearchParams();
  players.setPlayers(other, words);
  assert.deepEqual(players.playersOf(other, "range"), words);
  players.setPlayers(other, held([], { box: {}, to: "fixed" }));
  for (const bad of ["[", "7", "null", '["g"]', '[3, "a"]', '["g", null, {}, [4, 2], [0.5, 2], ["a", "b"], [-1, 3]]']) {
    assert.equal(players.playersOf(new URLSearchParams({ together: bad }), "range"), undefined, bad);
  }
});

test("a drag gives whole pixels within the picture, and four numbers are checked", () => {
  const size = { width: 24, height: 16 };
  assert.deepEqual(boxBetween([9.6, 12.2], [-3, 2.4], size), { left: 0, top: 2, right: 10, bottom: 12 });
  assert.equal(boxBetween([3, 3], [3.2, 9], size), null);
  assert.deepEqual(boxOf({ left: "1", top: "0.5", right: " 4 ", bottom: "9" }, size).box, { left: 1, top: 0.5, right: 4, bottom: 9 });
  for (const sides of [["", 0, 4, 9], ["x", 0, 4, 9], [4, 0, 4, 9], [0, 9, 4, 3], [30, 0, 40, 9]]) {
    const [left, top, right, bottom] = sides;
    assert.ok(boxOf({ left, top, right, bottom }, size).problem, sides);
  }
});

test("Python has groups, fixed parts and a change as the client takes them", () => {
  assert.equal(groupsLiteral([{ name: "it's \"so\"", parts: [{ name: "income" }, { range: { start: 0, end: 4 } }] }]), '{"it\'s \\"so\\"": ["income", explicate.TextRange(0, 4)]}');
  assert.equal(partsLiteral([{ range: { start: 1, end: 2, inPair: true } }, { box: { left: 0, top: 1.5, right: 2, bottom: 3 } }]), "[explicate.TextRange(1, 2, in_pair=True), explicate.PixelBox(0, 1.5, 2, 3)]");
  assert.equal(changeLiteral({}), "True");
  assert.equal(changeLiteral({ classLabel: "good", keepOthers: true, columns: [{ column: "age", kept: {} }, { column: "income", range: { low: { number: 1 }, high: { number: 5 }, step: 0.5 } },
    { column: "since", range: { low: { category: "2020-01-01" }, high: { category: "2021-01-01" } } }, { column: "owner", values: { values: [{ category: "true" }, { missing: null }] } }] }),
  'explicate.ChangeSearch(to="good", keep=("age",), vary={"income": explicate.ValueRange(1, 5, step=0.5), "since": explicate.ValueRange("2020-01-01", "2021-01-01"), "owner": ("true", None,)}, keep_others=True)');
  assert.equal(changeLiteral({ value: 3, absence: true, maxEvaluations: 9 }), "explicate.ChangeSearch(to_value=3, absence=True, max_evaluations=9)");
});
