// Asking the server again for what a record tells, and the outcome beside it.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { readExplanation } from "/static/answers.js";
import { Beside } from "/static/audit/beside.js";
import { GivenInput, given, sentInput } from "/static/audit/given_input.js";
import { replay as askReplay } from "/static/audit/log_calls.js";
import { verdictWords } from "/static/audit/plain_words.js";
import { recordedRows } from "/static/audit/recorded_values.js";
import { seconds } from "/static/format.js";

export function Replay({ log, at, told }) {
  const [state, setState] = useState({});
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async (event) => {
    event.preventDefault();
    const mine = new AbortController();
    running.current = mine;
    const began = performance.now();
    setState({ busy: true });
    try {
      const document = await given(event.target, told.wanted);
      const outcome = await askReplay(log, at, document, { signal: mine.signal });
      const value = document.input ?? told.fields.input;
      setState({ outcome, took: (performance.now() - began) / 1000,
        answer: outcome.answer && readExplanation(outcome.answer, sentInput(value)) });
    } catch (error) {
      if (error.name !== "AbortError") setState({ error });
    }
  };
  const stop = () => { running.current?.abort(); setState({}); };
  return html`<section class="audit-replay" aria-labelledby="audit-replay-title"><h2 id="audit-replay-title">Replay</h2>
    <p class="quiet">Asks version ${told.summary.version} again, with the same options and seed, and compares what comes with this record.
      It is a call like any other: it costs as much, needs the right to explain, and adds a record of its own to the log.</p>
    <form onSubmit=${run}>
      ${told.wanted.input && html`<${GivenInput} name="input" model=${told.summary.model} version=${told.summary.version}
        lead="The log does not have the input. Give the one that was explained then: its SHA-256 is compared before anything is sent to the server." />`}
      ${told.wanted.baseline && html`<${GivenInput} name="baseline" model=${told.summary.model} version=${told.summary.version}
        lead="The explanation was set against another input, of which the log has the SHA-256 only. Give that, too." />`}
      <p class="audit-buttons"><button class="primary" disabled=${state.busy}>Replay</button>
        ${state.busy && html`<button type="button" onClick=${stop}>Stop</button>`}
        <span role="status" class="quiet">${state.busy ? "Asking the server" : state.took ? `Answered in ${seconds(state.took)}` : ""}</span></p>
    </form>
    ${state.error && html`<div class="notice bad" role="alert"><p dir="auto">${state.error.message}</p></div>`}
    ${state.outcome && html`<${Outcome} told=${told} ...${state} />`}</section>`;
}

/** How far the two are apart, as people write it. */
function differenceWords(difference) {
  if (!difference) return "";
  return `They differ by at most ${difference < 0.0001 ? difference.toExponential(1) : `${(100 * difference).toPrecision(2)}%`} of the largest attribution.`;
}

function Outcome({ told, outcome, answer }) {
  const { mood, title, words } = verdictWords(outcome);
  return html`<div class=${`audit-verdict ${mood}`} role="status"><h3>${title}</h3><p>${words} ${differenceWords(outcome.largestDifference)}</p>
      ${outcome.verdict !== "same" && html`<p class="audit-why">What the comparison found: <span dir="auto">${outcome.what.replace(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, "$1…")}</span></p>`}</div>
    ${answer && html`<${Beside} recorded=${recordedRows(told.fields)} answer=${answer} alike=${outcome.verdict === "same"} />`}
    ${outcome.verdict === "same" && html`<p class="quiet">That the answer came again says that the log and the server fit together. It does not say that the explanation is right
      about the model, nor the model about the world.</p>`}`;
}
