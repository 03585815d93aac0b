// One question to the server and what has come of it so far: the stream, its end, and asking again where the server says when.
import { useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { call, stream } from "/static/api.js";
import { inputMessage, inputPlayers } from "/static/forms/input_form.js";
import { limitOf, modelRef } from "/static/forms/model_info.js";
import { optionsMessage } from "/static/forms/option_list.js";

export const MOST_ATTEMPTS = 4;
const LONGEST_WAIT_S = 30;
const AGAIN = new Set(["unavailable", "resource_exhausted"]);
const SPARE_MS = 2000; // so that the server's own limit ends a call, with the best answer so far, before the deadline does

/**
 * What is asked, from what the forms hold.
 * @returns {{info, choice, input, options, spec: object, shown: object}} shown is the input as marks take it
 */
export function question(info, choice, input, options) {
  const message = inputMessage(info, input);
  const spec = { model: modelRef(choice), input: message, options: { ...optionsMessage(info, options), ...inputPlayers(info, input) } };
  return { info, choice, input, options, spec, shown: message.image ? { image: { content: input.image.file } } : message };
}

/** An answer of a stream with the features and segments of the one before, where it leaves them out. */
function completed(response, before) {
  const now = response.result?.explanation;
  const then = before?.result?.explanation;
  if (!now || !then) return response;
  const explanation = { ...now, features: now.features ?? then.features, segmentMap: now.segmentMap ?? then.segmentMap };
  return { ...response, result: { ...response.result, explanation } };
}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("stopped", "AbortError")); });
});

/** The seconds to wait before asking once more, or NaN where that is for a person to decide. */
function waitOf(error, attempt) {
  if (!AGAIN.has(error.code) || !(error.retryAfterS <= LONGEST_WAIT_S) || attempt >= MOST_ATTEMPTS) return NaN;
  return Math.max(error.retryAfterS, 0.2);
}

/** How answers are read, loaded with the first one. */
const reader = async (shown) => (await import("/static/answers.js")).streamReader(shown);

async function explainOnce(asked, signal, told) {
  const read = await reader(asked.shown);
  let raw = null;
  const timeoutMs = Math.min(limitOf(asked.info, "maxCallSeconds"), 3600) * 1000 + SPARE_MS;
  for await (const response of stream("InferenceService/StreamExplain", { spec: asked.spec }, { signal, timeoutMs })) {
    raw = completed(response, raw);
    told({ answer: read(response), raw, stale: false, heardAt: performance.now() });
  }
}

async function predictOnce(asked, signal, told) {
  const raw = await call("InferenceService/Predict", { model: asked.spec.model, inputs: [asked.spec.input] }, { signal });
  const result = { model: raw.model, prediction: raw.predictions?.[0], timing: raw.timing };
  const answer = (await reader(asked.shown))({ result });
  answer.prediction.target ||= asked.info.bundle?.targetName ?? null;
  told({ answer, raw, stale: false });
}

async function work(once, asked, signal, told) {
  for (let attempt = 1; ; attempt += 1) {
    let came = false;
    try {
      await once(asked, signal, (changed) => { came = true; told(changed); });
      return told({ phase: "done", endedAt: performance.now() });
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      const wait = came ? NaN : waitOf(error, attempt);
      if (Number.isNaN(wait)) return told({ phase: "failed", error, endedAt: performance.now() });
      told({ phase: "waiting", error, attempt: attempt + 1, askAgainAt: performance.now() + wait * 1000 });
      await pause(wait, signal).catch(() => {});
      if (signal.aborted) return undefined;
      told({ phase: "running", error: null });
    }
  }
}

export const IDLE = { phase: "idle", only: "", asked: null, answer: null, raw: null, error: null, stale: false };

/**
 * The state of the question, and what may be done about it.
 * run.phase is "idle", "running", "waiting" (to ask again), "done", "stopped" or "failed"; run.stale says that the answer
 * is that of the question before.
 */
export function useExplaining() {
  const [run, setRun] = useState(IDLE);
  const abort = useRef(null);
  useEffect(() => () => abort.current?.abort(), []);
  const start = (only, once) => (asked) => {
    abort.current?.abort();
    const mine = new AbortController();
    abort.current = mine;
    const told = (changed) => { if (abort.current === mine && !mine.signal.aborted) setRun((now) => ({ ...now, ...changed })); };
    setRun((now) => ({
      ...IDLE, phase: "running", only, asked, startedAt: performance.now(), attempt: 1,
      ...(keeps(now, asked, only) ? { answer: now.answer, raw: now.raw, stale: true } : {}),
    }));
    work(once, asked, mine.signal, told);
  };
  return {
    run,
    explain: start("explain", explainOnce),
    predict: start("predict", predictOnce),
    /** Ends the work; what came so far stays. */
    stop: () => { abort.current?.abort(); setRun((now) => ({ ...now, phase: "stopped", endedAt: performance.now() })); },
    /** Shows an earlier run again, or none. */
    show: (earlier) => { abort.current?.abort(); setRun(earlier ?? IDLE); },
  };
}

/** Whether the answer before may stay on the page until the new one comes. */
const keeps = (now, asked, only) => now.answer && !now.stale && now.only === only && now.asked?.choice.model === asked.choice.model;
