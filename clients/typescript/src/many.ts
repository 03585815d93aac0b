/** Many inputs: a few calls at once, and a full server is waited for. */

import { setTimeout as sleep } from "node:timers/promises";

import { DeadlineExceeded, InternalError, InvalidArgument, MessageTooLarge, Overloaded } from "./errors.js";
import type { ServerError } from "./errors.js";

/** What became of one input: `result`, or the `error` that it alone has. */
export interface Outcome<Given, Result> {
  readonly index: number;
  readonly input: Given;
  readonly result: Result | undefined;
  readonly error: ServerError | undefined;
}

export interface ManyOptions {
  /** Calls at once. A server takes 32 explanations of one caller, unless it is set otherwise. Default: 8. */
  readonly inFlight?: number | undefined;
  /** Milliseconds that one input may wait for a server that has no room. Default: 300,000. */
  readonly patienceMs?: number | undefined;
}

const IN_FLIGHT = 8;
const PATIENCE_MS = 300_000;
const SECONDS = 1000;
/** Where a refusal does not say how long. */
const PAUSE_SECONDS = 1;

/**
 * Asks `ask` about each input, and tells what became of each in the order of the inputs, which are read as outcomes are
 * taken. An error that all would have ends the loop. Leaving the loop aborts the signal that `ask` is given.
 */
export async function* askMany<Given, Result>(
  inputs: Iterable<Given> | AsyncIterable<Given>,
  options: ManyOptions,
  signal: AbortSignal | undefined,
  ask: (input: Given, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Outcome<Given, Result>, void, undefined> {
  const stop = new AbortController();
  const follow = (): void => stop.abort(signal?.reason);
  if (signal?.aborted) follow();
  signal?.addEventListener("abort", follow, { once: true });
  const pending: Promise<Outcome<Given, Result>>[] = [];
  let index = 0;
  const patienceMs = options.patienceMs ?? PATIENCE_MS;
  try {
    for await (const input of inputs) {
      const outcome = outcomeOf(index++, input, () =>
        patiently(() => ask(input, stop.signal), patienceMs, stop.signal),
      );
      outcome.catch(() => {}); // one that nobody waits for, because the loop was left, must not end the process
      pending.push(outcome);
      if (pending.length >= (options.inFlight ?? IN_FLIGHT)) yield await (pending.shift() as (typeof pending)[number]);
    }
    for (const outcome of pending.splice(0)) yield await outcome;
  } finally {
    signal?.removeEventListener("abort", follow);
    stop.abort();
  }
}

async function outcomeOf<Given, Result>(
  index: number,
  input: Given,
  ask: () => Promise<Result>,
): Promise<Outcome<Given, Result>> {
  try {
    return { index, input, result: await ask(), error: undefined };
  } catch (error) {
    if (!isAboutTheInput(error)) throw error;
    return { index, input, result: undefined, error };
  }
}

/** Whether another input may fare better; a wrong option, model or right, by contrast, is wrong for all. */
function isAboutTheInput(error: unknown): error is ServerError {
  if (error instanceof InvalidArgument) {
    return error.violations.length > 0 && error.violations.every(({ field }) => field.startsWith("input"));
  }
  return [MessageTooLarge, Overloaded, DeadlineExceeded, InternalError].some((kind) => error instanceof kind);
}

/** The answer, asked for again as long as the server has no room and says that it may have some later. */
async function patiently<Result>(ask: () => Promise<Result>, patienceMs: number, signal: AbortSignal): Promise<Result> {
  const endsAt = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const pauseMs = error instanceof Overloaded ? (error.retryAfterSeconds ?? PAUSE_SECONDS) * SECONDS : Infinity;
      if (performance.now() + pauseMs > endsAt) throw error;
      await sleep(pauseMs, undefined, { signal }).catch(() => {}); // the next attempt says that it was cancelled
    }
  }
}
