// The model of a form: which one it begins with, and what the server tells of it.
import { useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { call } from "/static/api.js";
import { modelRef, statusOf } from "/static/forms/model_info.js";
import { stateOf } from "/static/models/statuses.js";
import { useServer } from "/static/server.js";

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
