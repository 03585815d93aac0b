// The page of one version of a model.
import { html, useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { call } from "/static/api.js";
import { Card } from "/static/models/card.js";
import { changesOf, titleOf } from "/static/models/changes.js";
import { ChangeDialog } from "/static/models/change_dialog.js";
import { Origin, Running, Schema } from "/static/models/described.js";
import { Interpretability, Standards, TestFigures } from "/static/models/figures.js";
import { addressOf, Labels, State } from "/static/models/list.js";
import { Serving } from "/static/models/serving.js";
import { kindOf, stateOf } from "/static/models/statuses.js";

/** The page; `versions` are the statuses of the model, the newest first. */
export function ModelPage({ model, wanted, versions, models }) {
  const version = wanted || liveOf(versions);
  const { answer, trouble } = useVersion(model, version, versions, models);
  const [change, ask] = useState(null);
  // The question has a neighbour that stays: an element that is moved in the document is no modal dialog any more.
  return html`<div><p><a href="#/models">All models</a></p>
    <h1 dir="auto">${model} <span class="quiet">version ${version || "–"}</span></h1>
    <${Versions} versions=${versions} shown=${version} />
    <p class="notice bad" role="alert" hidden=${!trouble}>${trouble}</p>
    ${!answer && !trouble && html`<p class="quiet" aria-busy="true">Asking for it.</p>`}
    ${answer && html`<${Standing} answer=${answer} ask=${ask} /><${Serving} answer=${answer} ask=${ask} />
      ${answer.bundle ? html`<${Described} answer=${answer} />` : html`<p>${unread(answer.status)}</p>`}`}</div>
    ${change && html`<${ChangeDialog} model=${model} change=${change} onClose=${() => ask(null)} />`}`;
}

function liveOf(versions) {
  return (versions.find(({ labels = [] }) => labels.includes("live")) ?? versions[0])?.version ?? 0;
}

/** GetModel's answer for a version, asked again when the list tells another state; beside a canary whenever the list is. */
function useVersion(model, version, versions, models) {
  const [state, setState] = useState({ key: "", answer: null, trouble: "" });
  const key = `${model}/${version}`;
  const moves = state.trouble || state.answer?.labels?.some(({ label }) => label === "canary");
  useEffect(() => {
    if (!version) return undefined;
    const ending = new AbortController();
    call("ModelService/GetModel", { model, version }, { signal: ending.signal }).then(
      (answer) => setState({ key, answer, trouble: "" }),
      (error) => { if (error.name !== "AbortError") setState((before) => ({ key, answer: before.key === key ? before.answer : null, trouble: error.message })); },
    );
    return () => ending.abort();
  }, [key, moves ? models : JSON.stringify(versions)]);
  return state.key === key ? state : { answer: null, trouble: "" };
}

function Versions({ versions, shown }) {
  if (versions.length < 2) return null;
  return html`<nav class="versions-of" aria-label="Versions">${versions.map((status) => html`<a key=${status.version} href=${addressOf(status.model, status.version)} aria-current=${status.version === shown ? "true" : undefined}>
    Version ${status.version}<span class="quiet"> ${[stateOf(status).word, ...(status.labels ?? [])].join(", ")}</span></a>`)}</nav>`;
}

function unread({ state }) {
  if (state === "MODEL_STATE_AVAILABLE" || state === "MODEL_STATE_LOADING") return "The server has not read its files yet: it does when it loads the version. Then its figures and its card are here.";
  return "Its manifest cannot be read, so nothing more is known of it.";
}

function Standing({ answer, ask }) {
  const { status } = answer;
  return html`<section class="standing"><p><${State} status=${status} /> ${(status.labels ?? status.previousOf) && html`<${Labels} status=${status} />`} <span class="quiet">${kindOf(status)}</span>
      ${status.state === "MODEL_STATE_READY" && html` <a href=${`#/try?model=${encodeURIComponent(status.model)}&version=${status.version}`}>Try it</a>`}</p>
    <p class="quiet">${stateOf(status).told}</p>
    ${status.reason && html`<p class="notice bad" dir="auto">${status.reason}</p>`}
    <p class="acts">${changesOf(answer).map((change) => html`<button key=${change.kind} onClick=${() => ask(change)}>${titleOf(change)}…</button>`)}</p>
    <p class="quiet">Each asks first, and says what will happen. Changes need the right admin, where the server asks for tokens.</p></section>`;
}

function Described({ answer }) {
  const { bundle } = answer;
  return html`<${Standards} answer=${answer} /><${TestFigures} bundle=${bundle} /><${Interpretability} bundle=${bundle} />
    <${Schema} answer=${answer} /><${Running} answer=${answer} /><${Origin} answer=${answer} />
    <section><h2>Model card</h2>${answer.modelCard ? html`<p class="quiet">Written by its publisher; the server does not check what it says.</p><details><summary>Show the card</summary><${Card} text=${answer.modelCard} /></details>` : html`<p>The bundle has none.</p>`}</section>`;
}
