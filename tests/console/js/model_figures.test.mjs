// Figures, states and standards of models as the page Models tells them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { endsOf, figuresOf, nameOf, numberOf, removalCurve, scales, spanOf, termOf, testFigures, written } from "../../../console/explicate_console/static/models/measured.js";
import { plotTable, plotWords, readPlot } from "../../../console/explicate_console/static/models/plotted.js";
import { criteriaOf, decisionsOf, isRefused, verdictOf } from "../../../console/explicate_console/static/models/standards.js";
import { byModel, kindOf, labelsOf, servedBy, stateOf, tally } from "../../../console/explicate_console/static/models/statuses.js";

test("a figure that protojson left out is 0, and one that is no number is not known", () => {
  assert.equal(numberOf(undefined), 0);
  assert.equal(numberOf("NaN"), null);
  assert.equal(written(numberOf("Infinity")), "–");
  assert.equal(endsOf({ lower: 0.1, upper: null }), "not known");
});

test("an axis holds 0 and all ends, in round numbers", () => {
  const figure = (value, lower, upper) => ({ value, lower, upper });
  assert.deepEqual(spanOf([figure(0.9, 0.8, 1)]), { from: 0, to: 1 });
  assert.deepEqual(spanOf([figure(-0.19, -0.25, -0.13)]), { from: -0.25, to: 0 });
  assert.deepEqual(spanOf([figure(2.7, 2.7, 32)]), { from: 0, to: 50 });
  assert.deepEqual(spanOf([figure(0.02, 0.01, 0.03)]), { from: 0, to: 0.05 });
  assert.deepEqual(spanOf([figure(0, 0, 0)]), { from: 0, to: 1 });
  assert.deepEqual(spanOf([figure(null, null, null)]), { from: 0, to: 1 });
});

test("shares are drawn apart from what is no share", () => {
  const groups = scales(figuresOf({ figures: [{ name: "evaluations_per_player.median", value: 12 }, { name: "evaluations_per_player.at_cap", value: 0.1 }] }));
  assert.deepEqual(groups.map(({ figures, to }) => [figures[0].id, to]), [["evaluations_per_player.median", 20], ["evaluations_per_player.at_cap", 0.1]]);
});

test("the curve of removal begins with nothing removed, and leaves the mean out", () => {
  const named = ["masked_accuracy", "masked_accuracy.removed_90", "masked_accuracy.removed_10", "masked_accuracy.none_removed"];
  const curve = removalCurve(figuresOf({ figures: named.map((name, place) => ({ name, value: place / 10 })) }));
  assert.deepEqual(curve.map(({ x, value }) => [x, value]), [[0, 0.3], [0.1, 0.2], [0.9, 0.1]]);
});

test("figures have plain names, and unknown ones their own", () => {
  assert.equal(nameOf("masked_accuracy.removed_30"), "30 % removed");
  assert.equal(nameOf("something.new"), "something.new");
});

test("test metrics come by name with the intervals that there are", () => {
  const told = testFigures({ metrics: { f1_macro: 0.5, auroc: 0.9 }, metricIntervals: { auroc: { upper: 0.95 } } });
  assert.deepEqual(told.map(({ name, lower, upper }) => [name, lower, upper]), [["AUROC", 0, 0.95], ["F1 macro", null, null]]);
});

test("a mean over classes has the glossary's word for what it is a mean of, and what is unknown has none", () => {
  assert.deepEqual(["f1_macro", "f1_micro", "auroc", "rmse", "majority_class_accuracy"].map(termOf), ["f1", "f1", "auroc", "errors", "simplest"]);
  assert.deepEqual(["constructor", "toString", "something_macro", ""].map(termOf), ["", "", "", ""]);
});

test("a requirement is missed, waived by somebody, or overridden with the version", () => {
  const waiver = { requirement: "b", who: "anna", why: "closed", until: "2027-03-31" };
  const unmet = [{ requirement: "a", reason: "too low" }, { requirement: "b", reason: "too few", waiver }, { reason: "no record" }];
  assert.deepEqual(criteriaOf({ unmet }).map(({ id, word }) => [id, word]), [["a", "missed"], ["b", "waived"], ["the record as a whole", "missed"]]);
  assert.equal(criteriaOf({ unmet, override: { who: "lead" } })[0].word, "overridden");
  assert.deepEqual(criteriaOf(undefined), []);
});

test("decisions on record are told once, the override first", () => {
  const waiver = { requirement: "b", who: "anna", why: "closed", until: "2027-03-31" };
  const told = decisionsOf({ bundle: { standard: { waivers: [waiver] } }, requiredStandard: { unmet: [{ requirement: "b", waiver }], override: { who: "lead", why: "ticket", time: "2026-11-27T02:55:00Z" } } });
  assert.deepEqual(told.map(({ who, what }) => [who, what]), [["lead", "overrode the standard"], ["anna", "waived b"]]);
});

test("a version is refused by the standard only as long as it does not serve", () => {
  const answer = (state) => ({ status: { state }, requiredStandard: { verdict: "not met" } });
  assert.equal(isRefused(answer("MODEL_STATE_FAILED")), true);
  assert.equal(isRefused(answer("MODEL_STATE_READY")), false);
  assert.equal(isRefused({ status: {} }), false);
  assert.equal(verdictOf("something new").good, false);
});

test("states are words, and unknown ones are told as they came", () => {
  assert.equal(stateOf({ state: "MODEL_STATE_FAILED" }).word, "failed");
  assert.equal(stateOf({ state: "MODEL_STATE_NEW" }).word, "model_state_new");
  assert.equal(kindOf({ inputKind: "INPUT_KIND_TEXT", objective: "OBJECTIVE_REGRESSION" }), "text → a number");
  assert.equal(kindOf({}), "");
  assert.equal(servedBy({ runtime: "onnxruntime-cpu", precision: "fp32", devices: ["cpu"] }), "onnxruntime-cpu, fp32, on cpu");
});

test("the list has models in their order and the newest version first, and says what there is", () => {
  const statuses = [{ model: "a", version: 1, state: "MODEL_STATE_READY" }, { model: "a", version: 10, state: "MODEL_STATE_FAILED" }, { model: "b", state: "MODEL_STATE_FAILED" }];
  assert.deepEqual(byModel(statuses).map(({ model, versions }) => [model, versions.map(({ version }) => version)]), [["a", [10, 1]], ["b", [undefined]]]);
  assert.equal(tally(statuses), "3 versions of 2 models: 1 ready, 2 failed");
  assert.deepEqual(labelsOf({ labels: ["live"], previousOf: ["live", "best"] }).map(({ text }) => text), ["live", "previous", "previous of best"]);
});

const LINES = {
  title: "Without the parts named first", x: "share of the parts removed", y: "fall of the answer",
  lines: [
    { name: "by the explanation", points: [{ x: 0.01, y: 0.1, interval: { lower: 0.05, upper: 0.2 } }, { x: 0.5, y: 0.62, interval: { lower: 0.6, upper: 0.71 } }] },
    { name: "at random", dashed: true, points: [{ x: 0.01, interval: { lower: -0.03 } }, { x: 0.5, y: "NaN" }] },
  ],
};
const BINS = { title: "Model rows", x: "rows for each part", y: "texts", bins: [{ upper: 1.5, count: 7 }, { lower: 1.5, upper: 3 }, { lower: 3, upper: 4.5, count: 2 }], marks: [{ name: "median", value: 1.25 }] };

test("a line has the points that are numbers, and axes that hold them, their whiskers and 0", () => {
  const plot = readPlot(LINES);
  assert.deepEqual(plot.lines.map(({ name, dashed, points }) => [name, dashed, points.length]), [["by the explanation", false, 2], ["at random", true, 1]]);
  assert.deepEqual(plot.lines[1].points, [{ x: 0.01, y: 0, lower: -0.03, upper: 0 }]);
  assert.deepEqual(plot.across, { from: 0, to: 0.5, ticks: [0, 0.1, 0.2, 0.3, 0.4, 0.5] });
  assert.equal(plot.up.from <= -0.03 && plot.up.to >= 0.71 && plot.up.ticks.includes(0), true);
  assert.deepEqual([plot.up.from, plot.up.to], [plot.up.ticks[0], plot.up.ticks.at(-1)]);
});

test("a histogram counts in whole inputs, and holds its marks", () => {
  const plot = readPlot({ ...BINS, marks: [...BINS.marks, { name: "beyond", value: 6 }] });
  assert.deepEqual(plot.bins.map(({ count }) => count), [7, 0, 2]);
  assert.deepEqual([plot.across.from, plot.across.to], [0, 6]);
  assert.equal(plot.up.ticks.every(Number.isInteger) && plot.up.to >= 7, true);
  assert.deepEqual(readPlot({ bins: [{ upper: 1, count: 1 }] }).up.ticks, [0, 1]);
});

test("a plot has words and a table for those who do not see it", () => {
  assert.equal(plotWords(readPlot(LINES)), "Without the parts named first: fall of the answer by share of the parts removed. by the explanation: from 0.100 at 0.01 to 0.620 at 0.5; at random: from 0.000 at 0.01 to 0.000 at 0.01.");
  assert.equal(plotWords(readPlot(BINS)), "Model rows: texts by rows for each part. Most, 7, from 0.000 to 1.500. median: 1.250.");
  const table = plotTable(readPlot(LINES), 0.9);
  assert.deepEqual(table.heads, ["Line", "share of the parts removed", "fall of the answer", "90 % interval"]);
  assert.deepEqual(table.rows.at(-1), ["at random", "0.01", "0.000", "-0.030 to 0.000"]);
  assert.deepEqual(plotTable(readPlot(BINS)).rows, [["0.000 to 1.500", "7"], ["3.000 to 4.500", "2"]]);
});

test("a plot with nothing to draw is none", () => {
  assert.equal(readPlot({}), null);
  assert.equal(readPlot({ lines: [{ points: [{ x: "NaN" }] }], bins: [{ lower: 1, upper: 1 }] }), null);
});

test("a line that is flat at 0 has an axis all the same", () => {
  const plot = readPlot({ lines: [{ points: [{ x: 0 }] }] });
  assert.deepEqual([plot.across.ticks, plot.up.ticks], [[0, 1], [0, 1]]);
});
