// The question before a change: what will happen, told from the state as it is now, and asked anew if that has changed.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { call } from "/static/api.js";
import { refreshServer } from "/static/server.js";
import { changedMeanwhile, doneOf, faultOf, refusal, requestOf, sharesOf, titleOf, told, upToDate } from "/static/models/changes.js";
import { criteriaOf, isRefused } from "/static/models/standards.js";

const CHANGE_MS = 600000; // a version is verified, loaded and warmed up meanwhile
const MOST_OF_A_REASON = 500;

/** The dialog for one change of a model; `onClose` is called when it is done or left. */
export function ChangeDialog({ model, change, onClose }) {
  const dialog = useRef(null);
  const asking = useChange(model, change);
  useEffect(() => { dialog.current.showModal(); }, []);
  useEffect(() => { if (asking.phase === "done") dialog.current.querySelector("button.primary").focus(); }, [asking.phase]);
  const leave = (event) => {
    event.preventDefault();
    if (asking.phase !== "sending") dialog.current.close(); // which gives the focus back to where it was
  };
  const title = asking.answer ? titleOf(asking.change) : "Asking the server";
  return html`<dialog ref=${dialog} class="change" aria-labelledby="change-title" onCancel=${leave} onClose=${onClose}>
    <form onSubmit=${(event) => { event.preventDefault(); asking.confirm(); }}>
      <h2 id="change-title" dir="auto">${title}<span class="quiet"> of ${model}</span></h2>
      <${Body} asking=${asking} />
      <${Buttons} asking=${asking} title=${title} leave=${leave} />
    </form></dialog>`;
}

function Body({ asking }) {
  const { phase, answer, problem, meanwhile, done } = asking;
  if (phase === "done") return html`<p role="status">${done.sentence}</p>${done.undo && html`<p>Undo: ${done.undo}</p>`}`;
  return html`
    ${meanwhile.length > 0 && html`<div class="notice bad" role="alert"><p>Somebody changed this meanwhile. Nothing was done; below is what will happen now.</p>
      <ul>${meanwhile.map((sentence) => html`<li>${sentence}</li>`)}</ul></div>`}
    ${answer && html`<${Fields} asking=${asking} /><${Consequences} asking=${asking} /><${Override} asking=${asking} />`}
    ${!answer && !problem && html`<p class="quiet" aria-busy="true">Asking how things stand.</p>`}
    <p class="notice bad" role="alert" dir="auto" hidden=${!problem}>${problem}</p>
    <p role="status" hidden=${phase !== "sending"}>Being done. A version that has to be loaded takes as long as it is large.</p>`;
}

function Consequences({ asking }) {
  const { change, answer } = asking;
  const fault = faultOf(change, answer);
  if (fault) return html`<p class="fault">${fault}</p>`;
  const { sentences, undo } = told(change, answer);
  return html`<ul class="consequences">${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul><p>Undo: ${undo}</p>`;
}

function Fields({ asking }) {
  const { change, set, phase } = asking;
  const busy = phase === "sending";
  if (change.kind === "label") {
    return html`<label>Label<input name="label" value=${change.label} disabled=${busy} autocomplete="off" spellcheck=${false} maxlength="64" list="known-labels"
      onInput=${(event) => set({ label: event.target.value.trim() })} /></label>
      <datalist id="known-labels"><option value="canary" /></datalist>`;
  }
  if (change.kind !== "traffic") return null;
  const percent = (name, title) => html`<label>${title}<span class="percent">
    <input name=${name} type="number" min="0" max="100" step="any" required disabled=${busy} value=${asking.percents[name]}
      onInput=${(event) => asking.setPercent(name, event.target.value)} /> %</span></label>`;
  return html`<div class="fields">${percent("canary", "Calls that the canary answers")}${percent("shadow", "Other calls that it is asked in the background")}</div>`;
}

function Override({ asking }) {
  const { answer, refused, why, setWhy, phase } = asking;
  if (!refused) return null;
  const required = answer.requiredStandard;
  return html`<fieldset class="override"><legend>The standard of this server${required ? ` (${required.name}, version ${required.version})` : ""} refuses it</legend>
    <ul>${criteriaOf(required).filter(({ word }) => word !== "waived").map(({ id, reason }) => html`<li dir="auto"><b>${id}</b>: ${reason}</li>`)}</ul>
    <label>Why it is to serve all the same<textarea name="why" rows="3" maxlength=${MOST_OF_A_REASON} value=${why} disabled=${phase === "sending"}
      onInput=${(event) => setWhy(event.target.value)}></textarea></label>
    <p class="quiet">The reason, the name of your token and what is not met are written to the server's audit log, and shown on this page. The override ends when the version is unloaded. It needs a token with the right override-standard beside admin.</p>
  </fieldset>`;
}

function Buttons({ asking, title, leave }) {
  const { phase, answer, change, refused, why, meanwhile } = asking;
  if (phase === "done") return html`<p class="buttons"><button type="button" class="primary" onClick=${leave}>Close</button></p>`;
  const ready = phase === "told" && answer && !faultOf(change, answer);
  const words = refused ? (why.trim() ? `Override the standard: ${title.toLowerCase()}` : "Try without an override") : title;
  return html`<p class="buttons"><button type="button" onClick=${leave} disabled=${phase === "sending"}>Leave it as it is</button>
    <button class="primary" disabled=${!ready && phase !== "sending"} aria-disabled=${phase === "sending"}>${meanwhile.length ? `${words}, as things are now` : words}</button></p>`;
}

/** The state of one change: asked, told, sent, done. */
function useChange(model, first) {
  const [state, setState] = useState({ phase: "asking", answer: null, change: first, problem: "", meanwhile: [], refused: false, done: null });
  const [why, setWhy] = useState("");
  const [percents, setPercents] = useState({ canary: "", shadow: "" });
  const sending = useRef(false);
  const update = (changes) => setState((before) => ({ ...before, ...changes }));
  const setPercent = (name, text) => {
    setPercents((before) => ({ ...before, [name]: text }));
    setState((before) => ({ ...before, change: { ...before.change, [name]: text.trim() === "" ? NaN : Number(text) / 100 } }));
  };
  useEffect(() => {
    asked(model, first).then(({ answer, change }) => {
      const shares = first.kind === "traffic" ? sharesOf(answer) : {};
      if (first.kind === "traffic") setPercents({ canary: percentOf(shares.canary), shadow: percentOf(shares.shadow) });
      update({ phase: "told", answer, change: { ...change, ...shares }, refused: isRefused(answer) && usesStandard(first) });
    }, (error) => update({ phase: "told", problem: refusal(error) }));
  }, []);
  const confirm = async () => {
    if (sending.current || state.phase !== "told" || !state.answer) return;
    sending.current = true;
    update({ phase: "sending", problem: "", meanwhile: [] });
    update(await sent(model, state, why));
    sending.current = false;
    refreshServer();
  };
  const set = (fields) => setState((before) => ({ ...before, change: { ...before.change, ...fields } }));
  return { ...state, why, setWhy, percents, setPercent, set, confirm };
}

const percentOf = (part) => String(Number((100 * part).toPrecision(6)));
const usesStandard = ({ kind }) => ["activate", "label", "load"].includes(kind);

/** How things stand now, for the version that the change is about: {answer, change}. */
async function asked(model, change) {
  const answer = await call("ModelService/GetModel", { model, version: change.version });
  const now = upToDate(change, answer);
  if (now.version === change.version || !now.version) return { answer, change: now };
  return { answer: await call("ModelService/GetModel", { model, version: now.version }), change: now };
}

/** Sends the change if nothing has changed since it was told; returns what is to be shown. */
async function sent(model, { answer, change }, why) {
  try {
    const now = await asked(model, change);
    const meanwhile = changedMeanwhile(answer, now.answer);
    if (meanwhile.length) return { phase: "told", answer: now.answer, change: now.change, meanwhile };
    const { method, request } = requestOf(change, answer, why);
    await call(method, request, { timeoutMs: CHANGE_MS });
    return { phase: "done", done: { sentence: doneOf(change, answer), undo: told(change, answer).undo } };
  } catch (error) {
    return { phase: "told", problem: refusal(error), ...(await again(model, change, error)) };
  }
}

/** How things stand after a refusal, if that can be known. */
async function again(model, change, error) {
  try {
    const now = await asked(model, change);
    return { ...now, ...(error.reason === "STANDARD_NOT_MET" ? { refused: true } : {}) };
  } catch {
    return {};
  }
}
