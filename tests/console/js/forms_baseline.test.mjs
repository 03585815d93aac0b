// What an explanation is set against: messages, what is wrong, links and code; and typical values as forms take them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { asCurl, asPython } from "../../../console/explicate_console/static/forms/as_code.js";
import { baselineMessage, baselineOf, baselineProblems, fittingBaseline, putBaseline, standIn } from "../../../console/explicate_console/static/forms/baseline.js";
import { cellMessage, cellsOf, sameCells, typicalCells } from "../../../console/explicate_console/static/forms/cells.js";

const AGE = { name: "age", type: "COLUMN_TYPE_NUMBER" };
const PRICE = { name: "price", type: "COLUMN_TYPE_NUMBER", numberNotation: { decimal: ",", thousands: ".", unit: "€" } };
const JOB = { name: "__proto__", type: "COLUMN_TYPE_CATEGORY", categories: ["clerk", "driver"] };
const ROW = { kind: "row", columns: [AGE, PRICE, JOB] };
const cells = (given) => Object.assign(Object.create(null), given);
const otherRow = cells(JSON.parse('{"age": "40", "price": "1,5", "__proto__": null}'));
const LINK_LIMIT = 200;

test("another row becomes a message as an input does", () => {
  const message = baselineMessage(ROW, { baselineBy: "row", baselineRow: otherRow });
  assert.equal(JSON.stringify(message), '{"tabular":{"cells":{"age":{"number":40},"price":{"category":"1,5"},"__proto__":{"missing":null}}}}');
});

test("each kind of model has its own ways, and none of another's", () => {
  assert.deepEqual(baselineMessage(ROW, { baseline: "approved" }), { name: "approved" });
  assert.equal(baselineMessage(ROW, { baselineBy: "picture", baselineImage: { base64: "AA==" } }), undefined);
  const image = { kind: "image", columns: [] };
  assert.deepEqual(baselineMessage(image, { baselineBy: "picture", baselineImage: { base64: "AA==" } }), { image: { content: "AA==" } });
  assert.deepEqual(baselineMessage(image, { baseline: "#ff8800" }), { colour: "#ff8800" });
  assert.equal(baselineMessage(image, { baselineBy: "row", baselineRow: otherRow }), undefined);
  assert.deepEqual(baselineMessage({ kind: "text", columns: [] }, { baseline: "bad tea", baselinePair: "x" }), { text: { text: "bad tea" } });
  assert.deepEqual(baselineMessage({ kind: "pair", columns: [] }, { baseline: "bad tea", baselinePair: "x" }), { text: { text: "bad tea", textPair: "x" } });
  for (const kind of ["row", "image", "text", "pair"]) assert.equal(baselineMessage({ kind, columns: [] }, {}), undefined);
});

test("what was chosen for a model of another kind is dropped, what a link says of none stays", () => {
  assert.deepEqual(fittingBaseline("image", { seed: "1", baselineBy: "text", baseline: "bad tea" }), { seed: "1", baselineBy: "", baseline: "", baselinePair: "" });
  const fits = { baselineBy: "colour", baseline: "#fff" };
  assert.equal(fittingBaseline("image", fits), fits);
  const told = { baseline: "approved" };
  assert.equal(fittingBaseline("row", told), told);
  assert.equal(standIn("row", told), "name");
});

test("cells that are left empty are told where the server would name them", () => {
  const found = baselineProblems(ROW, { baselineBy: "row", baselineRow: { age: "" } }).filter((each) => each.description);
  assert.deepEqual(found.map((each) => each.field), ["age", "price", "__proto__"].map((name) => `options.baseline.tabular.cells[${name}]`));
  assert.deepEqual(baselineProblems(ROW, { baselineBy: "row", baselineRow: otherRow }).filter((each) => each.description), []);
});

test("a picture that is left out, or wrong, and a colour that is not given are told", () => {
  const problems = (value) => baselineProblems({ kind: "image", columns: [] }, value).filter((each) => each.description);
  assert.deepEqual(problems({ baselineBy: "picture" }), [{ field: "options.baseline.image.content", description: "is left out; choose or drop a picture" }]);
  assert.deepEqual(problems({ baselineBy: "picture", baselineImage: { problem: "is empty" } }), [{ field: "options.baseline.image.content", description: "is empty" }]);
  assert.deepEqual(problems({ baselineBy: "picture", baselineImage: { problem: "" } }), []);
  assert.equal(problems({ baselineBy: "colour", baseline: " " })[0].field, "options.baseline.colour");
  assert.deepEqual(problems({}), []);
});

test("another row goes into a link only with the input, and comes back as it was", () => {
  const value = { baselineBy: "row", baselineRow: otherRow };
  const alone = new URLSearchParams();
  assert.equal(putBaseline(alone, value, false, LINK_LIMIT), "The other row goes along only with the input.");
  assert.equal(String(alone), "");
  const query = new URLSearchParams();
  assert.equal(putBaseline(query, value, true, LINK_LIMIT), "");
  const read = baselineOf(query, (text) => ({ cells: cells(JSON.parse(text)) }));
  assert.equal(read.baselineBy, "row");
  assert.ok(sameCells(ROW.columns, read.baselineRow, otherRow));
  assert.deepEqual(baselineOf(new URLSearchParams("other-row=1"), () => null), {});
  const long = new URLSearchParams();
  assert.match(putBaseline(long, { ...value, baselineRow: { age: "1".repeat(LINK_LIMIT) } }, true, LINK_LIMIT), /links take 200 at most/);
  assert.equal(String(long), "");
});

test("a picture never goes into a link", () => {
  const query = new URLSearchParams();
  for (const withInput of [false, true]) assert.equal(putBaseline(query, { baselineBy: "picture", baselineImage: { base64: "AA==" } }, withInput, LINK_LIMIT), "The other picture does not go into links.");
  assert.equal(String(query), "");
});

const asked = (input, baseline, held = {}) => ({ spec: { model: { model: "m" }, input, options: { baseline } }, ...held });

test("the code has another row as the Python client takes it", () => {
  const row = { tabular: { cells: { age: { number: 40 }, job: { category: "a \"b\"" }, lent: { missing: null } } } };
  const code = asPython({ asked: asked(row, row), hasToken: false });
  assert.match(code, /with_options\(model="m", baseline=\{"age": 40, "job": "a \\"b\\"", "lent": None\}\)/);
  const shell = asCurl({ asked: asked(row, row), address: "http://h", hasToken: false });
  assert.ok(shell.includes(JSON.stringify({ baseline: row })));
});

test("the code reads two pictures from their files, and holds the bytes of neither", () => {
  const picture = (content) => ({ image: { content } });
  const given = asked(picture("SU5QVVQ="), picture("T1RIRVI="), { input: { image: { name: "in'put.png" } }, options: { baselineImage: { name: "other.png" } } });
  const shell = asCurl({ asked: given, address: "http://h", hasToken: false });
  assert.doesNotMatch(shell, /SU5QVVQ=|T1RIRVI=|@@/);
  assert.deepEqual([...shell.matchAll(/base64 -w0 (.+?);/g)].map(([, name]) => name), ["'in'\\''put.png'", "'other.png'"]);
  const sent = [...shell.matchAll(/printf %s '(.*?)';/g)].map(([, piece]) => piece).join("BYTES");
  assert.deepEqual(JSON.parse(sent), { spec: { model: { model: "m" }, input: picture("BYTES"), options: { baseline: picture("BYTES") } } });
  assert.match(asPython({ asked: given, hasToken: false }), /baseline=explicate\.Image\.open\("other\.png"\)/);
});

test("typical values are written as the column writes numbers, and read back as the number", () => {
  const told = JSON.parse('{"age": {"number": 34.8}, "price": {"number": 1200.5}, "__proto__": {"missing": null}}');
  const typical = typicalCells(ROW.columns, told);
  assert.deepEqual([typical.age, typical.price, typical.__proto__], ["34.8", "1200,5", null]);
  assert.deepEqual(cellMessage(AGE, typical.age), { number: 34.8 });
  assert.deepEqual(Object.keys(typicalCells([{ name: "constructor", type: "COLUMN_TYPE_NUMBER" }, AGE], told)), ["age"]);
  assert.deepEqual(Object.keys(typicalCells(ROW.columns)), []);
});

test("a form keeps the cells of columns that it has, and the others are empty", () => {
  const held = cellsOf(ROW.columns, { age: null, other: "1" });
  assert.deepEqual([held.age, held.price, "other" in held], [null, "", false]);
});
