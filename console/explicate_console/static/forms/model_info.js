// What GetModel tells of a version, in the words of the forms; without a page.

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
