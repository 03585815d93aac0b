// What a search for a change may do: its message, what is wrong with it, and its address.
import assert from "node:assert/strict";
import { test } from "node:test";
import { changeLimits, changeOf, changeProblems, setChange } from "../../../console/explicate_console/static/forms/change_message.js";

const COLUMNS = ["income", "purpose", "age"].map((name) => ({ name }));
const cell = (_column, value) => (value === null ? { missing: null } : { category: value });
const CHOSEN = {
  change: true, changeMost: "50", changeAbsence: false, changeKeepOthers: true,
  changeColumns: { income: { kind: "range", low: "1", high: "5", step: "0.5" }, purpose: { kind: "values", values: ["home", ""], missing: true }, age: { kind: "kept" } },
};

test("columns keep their values, take a range or take listed ones", () => {
  assert.deepEqual(changeLimits(COLUMNS, CHOSEN, cell), {
    maxEvaluations: 50, keepOthers: true, columns: [{ column: "income", range: { low: { category: "1" }, high: { category: "5" }, step: 0.5 } },
      { column: "purpose", values: { values: [{ category: "home" }, { missing: null }] } }, { column: "age", kept: {} }],
  });
});

test("where columns are left out nothing is said of their values, and of other inputs nothing at all", () => {
  assert.deepEqual(changeLimits(COLUMNS, { ...CHOSEN, changeAbsence: true }, cell), { maxEvaluations: 50, absence: true });
  assert.deepEqual(changeLimits([], CHOSEN, cell), { maxEvaluations: 50 });
  assert.deepEqual(changeLimits([{ name: "other" }], { change: true, changeColumns: CHOSEN.changeColumns }, cell), {});
});

test("what is left out is told at its field before anything is sent", () => {
  const wrong = (changeColumns, more) => changeProblems(COLUMNS, { change: true, changeColumns, ...more }).map(({ field }) => field);
  assert.deepEqual(wrong({ income: { kind: "range", low: "", step: "-1" } }), ["low", "high", "step"].map((end) => `options.change.columns[income].range.${end}`));
  assert.deepEqual(wrong({ purpose: { kind: "values", values: [" "] } }), ["options.change.columns[purpose].values"]);
  assert.deepEqual(wrong(CHOSEN.changeColumns), []);
  assert.deepEqual(wrong({}, { changeMost: "1.5" }), ["options.change.max_evaluations"]);
  assert.deepEqual(changeProblems(COLUMNS, { change: false, changeMost: "x", changeColumns: { income: { kind: "range" } } }), []);
});

test("an address tells all of it, and what is wrong in one is passed over", () => {
  const query = new URLSearchParams();
  setChange(query, CHOSEN);
  const found = changeOf(new URLSearchParams(String(query)));
  assert.deepEqual({ ...found, changeColumns: { ...found.changeColumns } }, { ...CHOSEN, changeColumns: { ...CHOSEN.changeColumns, purpose: { kind: "values", values: ["home"], missing: true } } });
  assert.deepEqual(changeOf(new URLSearchParams({ vary: '["a","kept"]' })), {});
  for (const bad of ["{", "7", '[1,"range"]', '["a","kept"]', '["a","range",1]', '["a","values",{}]']) {
    assert.deepEqual(Object.keys(changeOf(new URLSearchParams({ change: "1", vary: bad })).changeColumns), [], bad);
  }
});
