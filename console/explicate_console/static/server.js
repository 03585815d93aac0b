// What the page knows of the server: its models, kept fresh, and whether it can be reached.
import { useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { call } from "/static/api.js";

const REFRESH_MS = 5000;
let known = { models: [], trouble: "", asked: false };
const watchers = new Set();
let timer = 0;

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await call("ModelService/ListModels", {}, { timeoutMs: REFRESH_MS });
    known = { models: answer.models ?? [], trouble: "", asked: true };
  } catch (error) {
    known = { ...known, trouble: error.message, asked: true };
  }
  watchers.forEach((watch) => watch(known));
  if (watchers.size) timer = setTimeout(refresh, REFRESH_MS);
}

/** {models: ModelStatus[], trouble: a sentence or "", asked: whether the server was asked yet}; asks every 5 s. */
export function useServer() {
  const [state, setState] = useState(known);
  useEffect(() => {
    watchers.add(setState);
    if (watchers.size === 1) refresh();
    return () => watchers.delete(setState);
  }, []);
  return state;
}

/** Ask again now, such as after a token was given or a version was activated. */
export const refreshServer = refresh;
