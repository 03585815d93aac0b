// Changes of models: what is told before one, what it sends, and what another person's change is noticed by.
import assert from "node:assert/strict";
import { test } from "node:test";
import { changedMeanwhile, changesOf, doneOf, faultOf, refusal, requestOf, told, upToDate } from "../../../console/explicate_console/static/models/changes.js";

const answer = ({ version = 3, state = "MODEL_STATE_READY", labels = [], points = { live: [2, 1] }, shares = {}, digest = "d", previousOf } = {}) => ({
  status: { model: "reviews", version, state, labels, bundleDigest: digest, previousOf },
  labels: Object.entries(points).map(([label, [at, before]]) => ({ label, version: at, ...(before ? { previousVersion: before } : {}) })),
  traffic: shares,
});
const activate = { kind: "activate", version: 3, label: "live" };
const rollback = { kind: "rollback", version: 1, label: "live" };

test("an activation says who answers, what stays, what leaves, and how to undo it", () => {
  const { sentences, undo } = told(activate, answer());
  assert.deepEqual(sentences, [
    "Version 3 answers all calls of reviews that name no version, from now on and after a restart.",
    "Version 2, live until now, stays loaded as the previous one, unless the server is set to keep none.",
    "Version 1, the previous one until now, leaves the memory unless another label holds it.",
  ]);
  assert.equal(undo, "Roll back live (to version 2).");
});

test("an activation beside a canary says which share the canary keeps", () => {
  const [first] = told(activate, answer({ points: { live: [2], canary: [4] }, shares: { canaryShare: 0.1 } })).sentences;
  assert.match(first, /but for the 10% that the canary, version 4, answers\.$/);
});

test("an activation of a version that is not loaded says that it is loaded first", () => {
  const { sentences } = told(activate, answer({ state: "MODEL_STATE_AVAILABLE" }));
  assert.match(sentences.at(-1), /loaded and warmed up first, and if that fails nothing changes/);
});

test("a first label is undone by removing it, and is sent as expected nowhere", () => {
  const first = answer({ points: {} });
  assert.equal(told(activate, first).undo, "Remove the label live.");
  assert.deepEqual(requestOf(activate, first), { method: "ModelService/ActivateVersion", request: { model: "reviews", version: 3, label: "live", expectedNone: null } });
});

test("an activation is sent with where the label was told to be, and with its reason if there is one", () => {
  assert.deepEqual(requestOf(activate, answer(), "  ticket 7 ").request, { model: "reviews", version: 3, label: "live", expectedVersion: 2, overrideStandard: "ticket 7" });
  assert.equal("overrideStandard" in requestOf(activate, answer(), "  ").request, false);
});

test("a roll back follows the label to where it would go back now", () => {
  assert.equal(upToDate(rollback, answer({ points: { live: [3, 2] } })).version, 2);
  assert.match(faultOf(upToDate(rollback, answer({ points: { live: [3] } })), answer()), /nothing to roll live back to/);
  assert.deepEqual(requestOf(rollback, answer()).request, { model: "reviews", label: "live", expectedVersion: 2 });
});

test("what matters and has changed meanwhile is told, and nothing else", () => {
  const before = answer({ points: { live: [2, 1], canary: [3] }, shares: { canaryShare: 0.1 } });
  assert.deepEqual(changedMeanwhile(before, structuredClone(before)), []);
  const leases = { ...before, status: { ...before.status, leases: 7 } };
  assert.deepEqual(changedMeanwhile(before, leases), []);
  const after = answer({ points: { live: [4, 2], old: [1] }, shares: {}, digest: "e", state: "MODEL_STATE_FAILED" });
  assert.deepEqual(changedMeanwhile(before, after), [
    "The label live points at version 4 now, before at 2.",
    "The label canary was removed; it pointed at version 3.",
    "The label old is new and points at version 1.",
    "The canary answers 0% and shadows 0% now, before 10% and 0%.",
    "Version 3 has other files than before.",
    "Version 3 is not loaded now.",
  ]);
});

test("only what a version allows is offered", () => {
  const kinds = (given) => changesOf(answer(given)).map(({ kind }) => kind);
  assert.deepEqual(kinds({}), ["activate", "label", "unload"]);
  assert.deepEqual(kinds({ labels: ["live"] }), ["label"]);
  assert.deepEqual(kinds({ state: "MODEL_STATE_FAILED" }), ["activate", "load", "label"]);
  assert.deepEqual(kinds({ version: 0 }), []);
});

test("a label that the server would refuse is not sent", () => {
  const fault = (label) => faultOf({ kind: "label", version: 3, label }, answer());
  assert.equal(fault("canary"), "");
  for (const bad of ["", "Canary", "-x", "a b", "<b>", "x".repeat(65)]) assert.notEqual(fault(bad), "", bad);
});

test("shares outside 0 to 100 % are not sent, nor any without a canary", () => {
  const fault = (canary, shadow, points = { canary: [3] }) => faultOf({ kind: "traffic", version: 3, canary, shadow }, answer({ points }));
  assert.equal(fault(0, 1), "");
  for (const bad of [-0.1, 1.1, NaN]) assert.notEqual(fault(bad, 0), "");
  assert.match(fault(0.1, 0, {}), /No version has the label canary/);
});

test("removing a label says whether its version stays, and that canary shares end", () => {
  const { sentences } = told({ kind: "unlabel", version: 3, label: "canary" }, answer({ labels: ["canary", "best"], points: { canary: [3], best: [3] } }));
  assert.match(sentences[1], /Version 3 stays loaded: it is best\./);
  assert.match(sentences[2], /shares of canary and shadow become 0/);
});

test("a refusal says that nothing was changed, but where that is not known", () => {
  assert.equal(
    refusal({ code: "permission_denied", message: "this call needs the right admin, which the token 'reader' does not have" }),
    "This call needs the right admin, which the token 'reader' does not have. Nothing was changed.",
  );
  assert.match(refusal({ code: "aborted", message: "the label moved" }), /^Somebody else changed it meanwhile\. .* Nothing was changed\.$/);
  assert.doesNotMatch(refusal({ code: "deadline_exceeded", message: "late" }), /Nothing was changed/);
});

test("what was done names the version before", () => {
  assert.equal(doneOf(activate, answer()), "Version 3 of reviews is live now; before it was version 2.");
});
