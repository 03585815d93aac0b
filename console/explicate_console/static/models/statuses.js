// What the answers of ModelService say of versions, in words. Pure functions.

const STATES = {
  MODEL_STATE_AVAILABLE: { word: "available", mark: "○", told: "In the repository, not loaded: it answers nothing until it is." },
  MODEL_STATE_LOADING: { word: "loading", mark: "…", told: "Being verified, loaded and warmed up." },
  MODEL_STATE_READY: { word: "ready", mark: "●", told: "Loaded: it answers what is asked of it." },
  MODEL_STATE_FAILED: { word: "failed", mark: "✕", told: "Refused, or not in the repository though a label wants it." },
  MODEL_STATE_UNLOADING: { word: "unloading", mark: "…", told: "Takes nothing new; leaves the memory after its last answer." },
  MODEL_STATE_REMOVED: { word: "removed", mark: "–", told: "Its folder has gone." },
};
const READS = { INPUT_KIND_TEXT: "text", INPUT_KIND_TABULAR: "row of a table", INPUT_KIND_IMAGE: "image" };
const ANSWERS = {
  OBJECTIVE_CLASSIFICATION: "one class",
  OBJECTIVE_MULTI_LABEL: "any number of labels",
  OBJECTIVE_REGRESSION: "a number",
};

/** {word, mark, told} of a state; what is not known is told as it came. */
export function stateOf(status) {
  return STATES[status?.state] ?? { word: String(status?.state ?? "unknown").toLowerCase(), mark: "?", told: "" };
}

/** What a version reads and answers, such as "text → one class"; empty where its manifest cannot be read. */
export function kindOf(status) {
  const reads = READS[status?.inputKind];
  const answers = ANSWERS[status?.objective];
  return reads && answers ? `${reads} → ${answers}` : "";
}

/** What serves it, such as "onnxruntime-cpu, fp32, on cpu"; empty unless it is ready. */
export function servedBy(status) {
  const devices = status.devices?.length ? `on ${status.devices.join(", ")}` : "";
  return [status.runtime, status.precision, devices].filter(Boolean).join(", ");
}

/** Labels as the list shows them: {text, title}, those that point at it first, then where a roll back would go. */
export function labelsOf(status) {
  const held = (status.labels ?? []).map((label) => ({ text: label, title: `the label ${label} points at this version` }));
  const before = (status.previousOf ?? []).map((label) => ({
    text: label === "live" ? "previous" : `previous of ${label}`,
    title: `a roll back of ${label} would go to this version`,
  }));
  return [...held, ...before];
}

/** Versions by model, models in their order and the newest version first: [{model, versions: [status]}]. */
export function byModel(statuses) {
  const found = new Map();
  for (const status of statuses) {
    if (!found.has(status.model)) found.set(status.model, []);
    found.get(status.model).push(status);
  }
  const newestFirst = (a, b) => (b.version ?? 0) - (a.version ?? 0);
  return [...found].map(([model, versions]) => ({ model, versions: [...versions].sort(newestFirst) }));
}

/** How many versions there are and in which states: "7 versions of 2 models: 4 ready, 2 available, 1 failed". */
export function tally(statuses) {
  const counts = new Map();
  for (const status of statuses) counts.set(stateOf(status).word, (counts.get(stateOf(status).word) ?? 0) + 1);
  const models = new Set(statuses.map((status) => status.model)).size;
  const parts = [...counts].map(([word, number]) => `${number} ${word}`).join(", ");
  return `${plural(statuses.length, "version")} of ${plural(models, "model")}: ${parts}`;
}

/** A share as people set it: "20%", "0.5%". */
export function percent(part) {
  return `${Number((100 * part).toPrecision(4))}%`;
}

/** "1 version", "2 versions". */
export function plural(number, noun) {
  return `${number} ${noun}${Number(number) === 1 ? "" : "s"}`;
}
