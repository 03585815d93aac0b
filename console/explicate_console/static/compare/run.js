// Both sides of a comparison asked at once, each failing alone.
import { useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { streamReader } from "/static/answers.js";
import { call, stream } from "/static/api.js";

const FRESH = { state: "asking", answer: null, error: null, tookS: null };

/** Streams one spec into `put`, a function that takes what has changed of a side. */
async function ask(spec, input, signal, put) {
  const began = performance.now();
  const read = streamReader(input);
  const tookS = () => (performance.now() - began) / 1000;
  put(FRESH);
  try {
    for await (const response of stream("InferenceService/StreamExplain", { spec }, { signal })) put({ answer: read(response) });
    put({ state: "done", tookS: tookS() });
  } catch (error) {
    put(signal.aborted ? { state: "cancelled", tookS: tookS() } : { state: "failed", error, tookS: tookS() });
  }
}

/** The class that a side predicts, of a model with too many classes to explain all; null where that cannot be told. */
async function predicted({ model, input }, signal) {
  const answer = await call("InferenceService/Predict", { model, inputs: [input] }, { signal }).catch(() => null);
  const { classification, multiLabel } = answer?.predictions?.[0] ?? {};
  const scores = multiLabel?.scores ?? [];
  return classification?.predictedLabel ?? scores.reduce((best, each) => ((each.probability ?? 0) > (best?.probability ?? -1) ? each : best), null)?.label ?? null;
}

const aimed = (spec, label) => (label === null ? spec : { ...spec, options: { ...spec.options, target: { label } } });

/** {plan, sides, contrast, running, start(plan), cancel(), again(side)}: what was asked, and how far each side is. */
export function useComparison() {
  const [run, setRun] = useState({ plan: null, sides: [], contrast: null });
  const abort = useRef(null);
  const number = useRef(0);
  useEffect(() => () => abort.current?.abort(), []);

  const asker = (plan, label, mine) => (side) => {
    const put = (change) => mine === number.current && setRun((before) => (side === "contrast"
      ? { ...before, contrast: { ...before.contrast, ...change } }
      : { ...before, sides: before.sides.map((each, place) => (place === side ? { ...each, ...change } : each)) }));
    const spec = side === "contrast" ? plan.contrast : plan.sides[side].spec;
    return ask(aimed(spec, label), plan.sides[side === "contrast" ? 0 : side].input, abort.current.signal, put);
  };

  const start = async (plan) => {
    abort.current?.abort();
    abort.current = new AbortController();
    const mine = number.current += 1;
    setRun({ plan, sides: plan.sides.map(() => FRESH), contrast: plan.contrast && FRESH });
    const { signal } = abort.current;
    const label = plan.predictFirst ? await predicted(plan.sides[0].spec, signal) : null;
    if (mine !== number.current) return;
    setRun((before) => ({ ...before, label }));
    const one = asker(plan, label, mine);
    await Promise.all([...plan.sides.keys(), ...(plan.contrast ? ["contrast"] : [])].map(one));
  };

  const again = (side) => {
    if (abort.current.signal.aborted) abort.current = new AbortController();
    return asker(run.plan, run.label ?? null, number.current)(side);
  };
  const running = [...run.sides, run.contrast].some((each) => each?.state === "asking");
  return { ...run, running, start, again, cancel: () => abort.current?.abort() };
}
