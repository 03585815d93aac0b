// Why the work on an explanation stopped.
const STOPPED = {
  tolerance: "the intervals are as narrow as was asked for",
  budget: "the evaluations are used up",
  deadline: "time was up, so this is the best answer so far",
  exact: "every combination was evaluated, so nothing is estimated",
  "top-k": "it is certain which parts weigh most",
  complete: "the whole sample was evaluated",
  running: "it is still running",
};

/** As half a sentence; the server's own word where it is not known here, and "" without one. */
export const stopWords = (reason) => STOPPED[reason] ?? reason ?? "";
