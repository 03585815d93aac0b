/**
 * Which calls are asked again, when, and for how long: the rules of the Python client (`_wire/retries.py`).
 *
 * Every call of this client changes nothing, so each may be asked again; a stream until its first answer only, so that no
 * estimate comes twice.
 */

import { Overloaded, Unavailable } from "./errors.js";
import type { ServerError } from "./errors.js";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;
/** How long a server that has never answered is asked: a wrong address is reported soon. */
const BRIEF_MS = 1000;
/** Where another address may have room: at once, but a call that meets the same full server again slows down. */
const FIRST_PAUSE_ELSEWHERE_MS = 10;
/** Of a pause, at random, so that the clients of a server that restarts do not all come at once. */
const SPREAD = 0.2;
const MOST_DOUBLINGS = 10;
/** Why RESOURCE_EXHAUSTED may be about the input itself. */
const TOO_MUCH_BY_ITSELF = "DEVICE_OUT_OF_MEMORY";
const SECONDS = 1000;

/** Keeps retries of refusals from making an overload worse: a refusal takes 1, an answer gives 2 back. */
class RetryBudget {
  static readonly MOST = 100;
  static readonly PER_ANSWER = 2;
  #left = RetryBudget.MOST;

  /** Take one; whether there is enough for another attempt. */
  refused(): boolean {
    this.#left = Math.max(0, this.#left - 1);
    return this.#left > RetryBudget.MOST / 2;
  }

  answered(): void {
    this.#left = Math.min(RetryBudget.MOST, this.#left + RetryBudget.PER_ANSWER);
  }
}

/** What one client knows of its servers: whether any has answered, whether its target may be several, their budget. */
export class Retries {
  hasAnswered = false;
  readonly budget = new RetryBudget();

  constructor(readonly mayHaveOthers: boolean) {}
}

/** The attempts of one call, all within its own time. */
export class Attempts {
  #failures = 0;
  #pausedMs = 0;

  /** endsAt: of the call, by the clock of `performance.now()`; `Infinity` for no end. */
  constructor(
    private readonly retries: Retries,
    private readonly endsAt: number,
  ) {}

  /** Milliseconds that the call still has, 0 or more. */
  get leftMs(): number {
    return Math.max(0, this.endsAt - performance.now());
  }

  /** The call has, or begins to have, its answer. */
  answered(): void {
    this.retries.hasAnswered = true;
    this.retries.budget.answered();
  }

  /** Milliseconds to wait before the next attempt; undefined when `failure` is the call's answer. */
  pauseMs(failure: ServerError): number | undefined {
    this.#failures += 1;
    if (failure.reason) this.retries.hasAnswered = true; // a server's own word, not gRPC's that nobody is there
    const isRefusal = failure instanceof Overloaded;
    if (isRefusal && !(this.retries.budget.refused() && this.retries.mayHaveOthers)) return undefined;
    if (!isForLater(failure)) return undefined;
    const pauseMs = this.#nextPauseMs(failure);
    const lasts = isRefusal || this.retries.hasAnswered;
    if (!lasts && this.#pausedMs + pauseMs > BRIEF_MS) return undefined;
    this.#pausedMs += pauseMs;
    return pauseMs < this.leftMs ? pauseMs : undefined;
  }

  #nextPauseMs(failure: ServerError): number {
    const doublings = 2 ** Math.min(this.#failures - 1, MOST_DOUBLINGS);
    const asked = failure.retryAfterSeconds;
    const askedMs = asked === undefined ? undefined : asked * SECONDS;
    let pauseMs = Math.max(Math.min(FIRST_PAUSE_MS * doublings, LONGEST_PAUSE_MS), askedMs ?? 0);
    if (this.retries.mayHaveOthers && this.retries.hasAnswered) {
      // The wish is that of one server; the others have not said anything.
      const longestMs = askedMs === undefined ? LONGEST_PAUSE_MS : Math.max(askedMs, FIRST_PAUSE_MS);
      pauseMs = Math.min(FIRST_PAUSE_ELSEWHERE_MS * doublings, longestMs);
    }
    return pauseMs * (1 + SPREAD * (2 * Math.random() - 1));
  }
}

/** Whether no server had room for the call, or none was there: the same call may fare better later or elsewhere. */
function isForLater(failure: ServerError): boolean {
  if (!(failure instanceof Overloaded || failure instanceof Unavailable)) return false;
  return failure.reason !== TOO_MUCH_BY_ITSELF && failure.retryAfterSeconds !== Infinity;
}
