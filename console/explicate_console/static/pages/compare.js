// The page Compare: two answers side by side, with one thing that differs between them and all else shared.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { fittingBaseline } from "/static/forms/baseline.js";
import { fieldErrors, focusFirstError } from "/static/forms/field.js";
import { emptyInput, fitsInput } from "/static/forms/input_form.js";
import { firstModel, useModel } from "/static/forms/asked_model.js";
import { classesOf, kindOf } from "/static/forms/model_info.js";
import { emptyOptions } from "/static/forms/option_list.js";
import { useServer } from "/static/server.js";
import { useStyle } from "/static/styles.js";
import { fromQuery, toQuery } from "/static/compare/address.js";
import { Inputs, Shared, Sides, WhatDiffers } from "/static/compare/choices.js";
import { planOf, problemsOf, unfit } from "/static/compare/plan.js";
import { useComparison } from "/static/compare/run.js";
import Side from "/static/compare/side.js";
import Told from "/static/compare/told.js";

const styled = Promise.all([useStyle("/static/forms/forms.css"), useStyle("/static/pages/compare.css")]);

/** What a form holds at first, with what the address tells. */
function formOf(query) {
  const told = fromQuery(query);
  return { ...told, options: { ...emptyOptions(), ...told.options }, left: told.left ?? null, right: told.right ?? null, input: null, inputRight: null };
}

/** The version that B takes at first: the canary, or another version that is ready, or A's own. */
function otherVersion(models, left) {
  const others = models.filter((each) => each.model === left.model && each.state === "MODEL_STATE_READY");
  if (others.some((each) => each.labels?.includes("canary")) && left.label !== "canary") return { model: left.model, label: "canary" };
  const live = others.find((each) => each.labels?.includes("live"));
  const other = others.find((each) => each !== live);
  return other ? { model: left.model, version: other.version } : { model: left.model };
}

/** The form with everything chosen that is still open, as far as the server has told what there is. */
function completed(form, models, info) {
  const full = { ...form };
  if (!full.left && models.length) full.left = { model: firstModel(models).model };
  if (full.left && !full.right && models.length) full.right = otherVersion(models, full.left);
  if (!info) return full;
  for (const name of ["input", "inputRight"]) if (!full[name] || !fitsInput(info, full[name])) full[name] = emptyInput(info, full[name]);
  full.options = fittingBaseline(kindOf(info), form.options);
  full.classes = twoOf(form.classes, classesOf(info));
  const methods = info.methods ?? [];
  full.methods = twoOf(form.methods, methods, [methods.includes("kernel-shap") ? "kernel-shap" : methods[0], methods.includes("lime") ? "lime" : methods.at(-1)]);
  return full;
}

function twoOf(given, names, standard = names) {
  const first = names.includes(given[0]) ? given[0] : standard[0];
  const second = names.includes(given[1]) ? given[1] : [standard[1], ...names].find((each) => each !== first);
  return [first, second ?? first];
}

function useForm(here) {
  const { models, asked } = useServer();
  const [given, setGiven] = useState(() => formOf(here.query));
  const [ready, setReady] = useState(false);
  const left = given.left ?? completed(given, models, null).left;
  const model = useModel(left ?? { model: "" });
  const form = completed(given, models, model.info);
  useEffect(() => { styled.then(() => setReady(true)); }, []);
  const link = form.left && toQuery(form);
  useEffect(() => {
    if (link) history.replaceState(null, "", `#/compare?${link.query}`);
  });
  const set = (change) => setGiven((before) => ({ ...completed(before, models, model.info), ...change }));
  return { form, link, set, model, asked, ready };
}

/** The labels that both sides explain, and the one that is looked at: what A predicts, until another is chosen. */
function useLabel({ plan, sides }) {
  const [chosen, setChosen] = useState(null);
  const answers = sides.map((side) => side.answer).filter(Boolean);
  if (!plan || !answers.length || plan.differs === "classes" || plan.differs === "contrast") return { label: null, labels: [], setChosen };
  const [first, ...others] = answers.map((answer) => answer.outputs.map((output) => output.label));
  const labels = first.filter((label) => others.every((each) => each.includes(label)));
  const scores = answers[0].prediction.scores.filter((score) => labels.includes(score.label));
  const likely = scores.reduce((best, each) => (each.probability > (best?.probability ?? -1) ? each : best), null)?.label;
  const decided = answers[0].prediction.label;
  return { labels, setChosen, label: [chosen, decided, likely, labels[0]].find((each) => labels.includes(each)) ?? null };
}

function statusWords({ plan, sides, running }) {
  if (!plan) return "";
  const named = (state) => plan.sides.filter((_, side) => sides[side].state === state).map((side) => side.letter);
  if (running) return named("done").length ? `${named("done").join(" and ")} has answered.` : "A and B are asked.";
  const parts = [["done", "answered"], ["failed", "failed"], ["cancelled", "was cancelled"]].map(([state, word]) => [named(state), word]);
  return parts.filter(([letters]) => letters.length).map(([letters, word]) => `${letters.join(" and ")} ${letters.length > 1 ? word.replace("was", "were") : word}.`).join(" ");
}

function Results({ run }) {
  const { plan, sides, contrast } = run;
  const { label, labels, setChosen } = useLabel(run);
  if (!plan) return null;
  const done = sides.every((side) => side.state === "done") && contrast?.state !== "asking";
  return html`
    <div class="sides">${plan.sides.map((each, side) => html`<${Side} letter=${each.letter} title=${each.title} side=${sides[side]} label=${label} onAgain=${() => run.again(side)} />`)}</div>
    ${done && html`<${Told} plan=${plan} answers=${sides.map((side) => side.answer)} tookS=${sides.map((side) => side.tookS)} label=${label} labels=${labels} onLabel=${setChosen}
        contrast=${contrast?.state === "done" ? contrast.answer : null} contrastError=${contrast?.error ?? null} />`}
    ${!done && !run.running && html`<p class="quiet">There is nothing to compare before both sides have answered.</p>`}`;
}

function Share({ problem }) {
  const [told, setTold] = useState("");
  const words = (copied) => [copied, problem].filter(Boolean).join(" ");
  const copy = async () => setTold(words(await navigator.clipboard.writeText(location.href).then(() => "Copied.", () => "Copy the address of this page: it holds all but the input.")));
  return html`<button type="button" onClick=${copy}>Copy a link without the input</button><span class="quiet" role="status">${told}</span>`;
}

export default function Compare({ here }) {
  const { form, link, set, model, asked, ready } = useForm(here);
  const run = useComparison();
  const [problems, setProblems] = useState({ left: [], right: [] });
  const root = useRef();
  const { info } = model;
  const blocked = info ? unfit(form.differs, info) : "";
  const errors = { left: [...problems.left, ...fieldErrors(run.sides[0]?.error)], right: [...problems.right, ...(run.plan?.sameInput === false ? fieldErrors(run.sides[1]?.error) : [])] };
  const submit = (event) => {
    event.preventDefault();
    const found = problemsOf(form, info);
    setProblems(found);
    if (found.left.length || found.right.length) setTimeout(() => focusFirstError(root.current));
    else run.start(planOf(form, info));
  };
  if (!ready) return html`<h1>Compare</h1><p aria-busy="true">Loading</p>`;
  return html`<h1>Compare</h1>
    <p class="quiet lead">Two answers side by side. One thing differs, all else is shared, and each difference says whether chance could have made it.</p>
    <form class="compare-form" ref=${root} onSubmit=${submit} noValidate>
      <${WhatDiffers} value=${form.differs} info=${info} onChange=${(differs) => set({ differs })} />
      <div>
        ${form.left && form.right && html`<${Sides} form=${form} info=${info} set=${set} />`}
        ${!info && !model.error && (form.left || !asked) && html`<p class="quiet" aria-busy="true">Asking the server</p>`}
        ${model.error && html`<p class="notice bad side-notice" role="alert" dir="auto">${model.error.message}</p>`}
        ${blocked && html`<p class="notice side-notice">${blocked}</p>`}
        ${info && kindOf(info) && form.input && html`<${Inputs} form=${form} info=${info} set=${set} errors=${errors} />
          <${Shared} form=${form} info=${info} set=${set} errors=${errors} />
          <p class="actions"><button class="primary" disabled=${Boolean(blocked)}>Compare</button>
            <button type="button" disabled=${!run.running} onClick=${run.cancel}>Cancel</button><${Share} problem=${link.problem} /></p>`}
      </div>
    </form>
    <p class="status" role="status">${statusWords(run)}</p>
    <${Results} run=${run} />`;
}
