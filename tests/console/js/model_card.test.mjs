// Markdown of model cards: elements for what people write, text for what would be markup of another kind.
import assert from "node:assert/strict";
import { test } from "node:test";
import { partsOf, readMarkdown, safeAddress } from "../../../console/explicate_console/static/models/markdown.js";

test("headings, paragraphs and rules are told apart", () => {
  assert.deepEqual(readMarkdown("# Data & more\n\nOne\ntwo\n\n---\n"), [
    { kind: "heading", level: 1, parts: ["Data & more"], id: "data--more" },
    { kind: "paragraph", parts: ["One\ntwo"] },
    { kind: "rule" },
  ]);
});

test("raw HTML stays text", () => {
  assert.deepEqual(partsOf("<script>alert(1)</script>"), ["<script>alert(1)</script>"]);
  assert.equal(readMarkdown("<img src=x onerror=alert(1)>")[0].kind, "paragraph");
});

test("only addresses of the web and of the card lead anywhere", () => {
  assert.equal(safeAddress("https://example.org/a"), "https://example.org/a");
  assert.equal(safeAddress("#data"), "#data");
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", "//elsewhere.org", "/local", "file:///etc/passwd"]) assert.equal(safeAddress(bad), "", bad);
});

test("pictures are named and not fetched", () => {
  assert.deepEqual(partsOf("![a plot](https://example.org/x.png)"), [{ kind: "picture", text: "a plot" }]);
});

test("emphasis, code and links are parts, and escaped signs are signs", () => {
  assert.deepEqual(partsOf("**bold** *em* `a*b*c` [to](#x) \\*no\\* a_b_c &lt;b&gt; &#42;"), [
    { kind: "strong", parts: ["bold"] }, " ", { kind: "em", parts: ["em"] }, " ", { kind: "code", text: "a*b*c" }, " ",
    { kind: "link", parts: ["to"], address: "#x" }, " *no* a_b_c <b> *",
  ]);
});

test("lists nest by their indentation", () => {
  const [list] = readMarkdown("- one\n  - inner\n    more\n- two\n");
  assert.equal(list.items.length, 2);
  assert.deepEqual(list.items[0].map(({ kind }) => kind), ["paragraph", "list"]);
  assert.equal(readMarkdown("1. a\n2. b")[0].ordered, true);
});

test("tables have as many cells in a row as in the head, and escaped bars are bars", () => {
  const [table] = readMarkdown("| a | b |\n| --- | ---: |\n| x\\|y |\n| 1 | 2 | 3 |\n");
  assert.deepEqual(table.rows, [[["x|y"], []], [["1"], ["2"]]]);
  assert.deepEqual(table.right, [false, true]);
});

test("a fence holds what it holds, also where nothing closes it", () => {
  assert.deepEqual(readMarkdown("```\n# no heading\n"), [{ kind: "code", text: "# no heading\n" }]);
});

test("depth and length do not stop the page", () => {
  const started = performance.now();
  for (const text of ["> ".repeat(5000) + "x", "[".repeat(50000), "*a ".repeat(30000), "`".repeat(30001), "| ".repeat(20000), "  ".repeat(20000) + "- x", "_a".repeat(30000), "- ".repeat(20000), "#".repeat(50000) + " x", "a\n".repeat(30000), "# " + "x ".repeat(30000) + "#y"]) {
    assert.ok(readMarkdown(text).length > 0);
  }
  assert.ok(performance.now() - started < 5000);
});
