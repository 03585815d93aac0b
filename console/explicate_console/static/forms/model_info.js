// What GetModel tells of a version, in the words of the forms.
import { useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { call } from "/static/api.js";
import { stateOf } from "/static/models/statuses.js";
import { useServer } from "/static/server.js";

/** The request for a choice {model, version, label}, as ModelRef and GetModel take it. */
export function modelRef({ model, version, label }) {
  if (version) return { model, version: Number(version) };
  return label && label !== "live" ? { model, label } : { model };
}

/** "text", "pair", "row" or "image", or "" where it is not known. */
export function kindOf(info) {
  const bundle = info?.bundle;
  if (bundle?.text) return bundle.text.pairs ? "pair" : "text";
  return bundle?.tabular ? "row" : bundle?.image ? "image" : "";
}

export const KIND_NAMES = { text: "text", pair: "pair of texts", row: "row of a table", image: "image" };

/** Labels of the classes; empty for a regression. */
export const classesOf = (info) => info?.bundle?.classLabels ?? [];

export const isRegression = (info) => info?.status?.objective === "OBJECTIVE_REGRESSION";
export const isMultiLabel = (info) => info?.status?.objective === "OBJECTIVE_MULTI_LABEL";

/** Columns of a table's schema. */
export const columnsOf = (info) => info?.bundle?.tabular?.columns ?? [];

/** A limit of the server as a number, such as limitOf(info, "maxTextBytes"). */
export const limitOf = (info, name) => (info?.limits?.[name] === undefined ? Infinity : Number(info.limits[name]));

/** What a method resolves an empty message to. */
export function defaultsOf(info, method) {
  const known = info?.defaultOptions ?? [];
  return known.find((each) => each.method === method) ?? known.find((each) => each.method === "kernel-shap") ?? {};
}

/** ModelStatus of a choice among those the server lists. */
export function statusOf(models, { model, version, label }) {
  const versions = models.filter((each) => each.model === model);
  if (version) return versions.find((each) => each.version === Number(version));
  return versions.find((each) => (each.labels ?? []).includes(label || "live"));
}

const FIRST_KINDS = ["INPUT_KIND_TEXT", "INPUT_KIND_TABULAR"];

/** The model that a form begins with: one that serves, and one that is asked by typing before one that wants a file. */
export function firstModel(models) {
  const live = models.filter((each) => stateOf(each).word === "ready" && each.labels?.includes("live"));
  return FIRST_KINDS.map((kind) => live.find((each) => each.inputKind === kind)).find(Boolean) ?? live[0] ?? models[0];
}

/**
 * Ask the server about a choice {model, version, label}, again when its state changes.
 * @returns {{info: object|null, error: Error|null, asked: boolean}}
 */
export function useModel(choice) {
  const { models } = useServer();
  const status = statusOf(models, choice);
  const key = JSON.stringify([choice.model, choice.version ?? "", choice.label ?? "", status?.state ?? "", status?.bundleDigest ?? ""]);
  const [known, setKnown] = useState({ key: "", info: null, error: null });
  useEffect(() => {
    if (!choice.model) return undefined;
    const abort = new AbortController();
    call("ModelService/GetModel", modelRef(choice), { signal: abort.signal })
      .then((info) => setKnown({ key, info, error: null }))
      .catch((error) => error.name !== "AbortError" && setKnown((before) => ({ key, info: sameModel(before.info, choice) ? before.info : null, error })));
    return () => abort.abort();
  }, [key]);
  const current = known.info && known.info.status?.model === choice.model;
  return { info: current ? known.info : null, error: known.key === key ? known.error : null, asked: known.key === key };
}

const sameModel = (info, choice) => info?.status?.model === choice.model;
