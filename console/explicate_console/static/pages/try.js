// The page Try: a model, an input and the options; the answer as it comes, and what a change of the input does to it.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { fittingBaseline } from "/static/forms/baseline.js";
import { useExplaining, question } from "/static/forms/explaining.js";
import { fieldErrors, focusFirstError } from "/static/forms/field.js";
import InputForm, { emptyInput, fitsInput, inputProblems } from "/static/forms/input_form.js";
import ModelChoice from "/static/forms/model_choice.js";
import { firstModel, useModel } from "/static/forms/asked_model.js";
import { kindOf } from "/static/forms/model_info.js";
import OptionsForm from "/static/forms/options_form.js";
import { optionProblems } from "/static/forms/option_list.js";
import { Failure, Progress } from "/static/forms/progress.js";
import { fromQuery, toHash } from "/static/forms/share.js";
import { ShareLink } from "/static/forms/share_link.js";
import { useServer } from "/static/server.js";
import { useStyle } from "/static/styles.js";

await Promise.all(["/static/forms/forms.css", "/static/pages/try.css"].map(useStyle));

/** What the forms hold, from the address; a model that is ready where the address names none. */
function useForm(here) {
  const { models } = useServer();
  const [form, setForm] = useState(() => fromQuery(here.query));
  const [errors, setErrors] = useState([]);
  const { info, error, asked } = useModel(form.choice);
  const address = here.query.toString();
  const first = useRef(address);
  useEffect(() => {
    if (address === first.current) return;
    first.current = address;
    setForm(fromQuery(here.query));
    setErrors([]);
  }, [address]);
  useEffect(() => {
    if (form.choice.model || !models.length) return;
    const ready = firstModel(models);
    setForm((now) => ({ ...now, choice: { model: ready.model } }));
  }, [models, form.choice.model]);
  useEffect(() => {
    if (info) setForm((now) => ({ ...now, input: fitsInput(info, now.input) ? now.input : emptyInput(info, now.input), options: fitting(info, now.options) }));
  }, [info, form.input === null]);
  const change = (key, ...prefixes) => (value) => {
    setForm((now) => ({ ...now, [key]: value }));
    setErrors((now) => now.filter((each) => !prefixes.some((prefix) => each.field.startsWith(prefix))));
  };
  return { form, setForm, info, error, asked, errors, setErrors, change };
}

function fitting(info, options) {
  const fit = fittingBaseline(kindOf(info), options);
  return info.methods?.length && !info.methods.includes(fit.method) ? { ...fit, method: "auto" } : fit;
}

/** Rows on the page that another row may be copied from: the input, and that of the last answer. */
const rowsOf = (form, run) => [{ name: "the input", cells: form.input.cells }, { name: "the row of the last answer", cells: run.asked?.input?.cells }];

/** What draws an answer, loaded when it is wanted first: the page opens without it. */
function useAnswerArea(wanted) {
  const [loaded, setLoaded] = useState({});
  useEffect(() => { if (wanted) import("/static/forms/answer_view.js").then((module) => setLoaded({ Area: module.default })); }, [wanted]);
  return loaded.Area;
}

/** Notes the model and options in the address bar, never the input, so that a reload keeps the form. */
const noteAddress = (form) => history.replaceState(null, "", toHash(form).hash);

/** Brings the head of the answer into view where it is not seen. */
function showAnswer(element) {
  const { top } = element.getBoundingClientRect();
  if (top < 0 || top > innerHeight * 0.7) element.scrollIntoView({ block: "start" });
}

/** The changes of the input that were made on the answer, each with the run before it. */
function useSteps(explaining, setForm) {
  const [steps, setSteps] = useState([]);
  const undo = (at) => {
    const { run } = steps[at];
    explaining.show(run);
    setForm((now) => ({ ...now, input: run.asked.input }));
    setSteps(steps.slice(0, at));
  };
  return { steps, undo, add: (words, run) => setSteps([...steps, { words, run }]), clear: () => setSteps([]) };
}

function Form({ held, run, onAsk, onStop, formRef }) {
  const { form, info, error, errors, change } = held;
  const working = run.phase === "running" || run.phase === "waiting";
  const ready = info && form.input && fitsInput(info, form.input);
  const keys = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); onAsk("explain"); }
  };
  return html`<form class="asked" ref=${formRef} onKeyDown=${keys} onSubmit=${(event) => { event.preventDefault(); onAsk("explain"); }}>
    <${ModelChoice} value=${form.choice} onChange=${change("choice", "model")} errors=${errors} />
    ${!info && !error && form.choice.model && html`<p class="quiet" aria-busy="true">Asking the server about it</p>`}
    ${error && html`<p class="notice bad" role="alert" dir="auto">${error.message}</p>`}
    ${info && form.input && html`
      <${InputForm} info=${info} value=${form.input} onChange=${change("input", "input", "options.groups", "options.fixed")} errors=${errors} />
      <${OptionsForm} info=${info} value=${form.options} onChange=${change("options", "options")} errors=${errors} rows=${rowsOf(form, run)} />`}
    <div class="actions">
      <button class="primary" disabled=${!ready} aria-keyshortcuts="Control+Enter" title="Control+Enter">Explain</button>
      <button type="button" disabled=${!ready} onClick=${() => onAsk("predict")}>Predict only</button>
      <button type="button" disabled=${!working} onClick=${onStop}>Stop</button>
    </div></form>`;
}

/** What the server or the form finds wrong that no field shows, in a list. */
function Unplaced({ errors, formRef }) {
  const [unplaced, setUnplaced] = useState([]);
  useEffect(() => {
    const shown = [...(formRef.current?.querySelectorAll('[aria-invalid="true"]') ?? [])].map((each) => each.dataset.path);
    setUnplaced(errors.filter(({ field }) => !shown.some((path) => field === path || field.startsWith(`${path}.`) || field.startsWith(`${path}[`))));
  }, [errors]);
  if (!unplaced.length) return null;
  return html`<ul class="notice bad" role="alert">${unplaced.map(({ field, description }) => html`<li dir="auto">${field.replace(/^(input|options)\./, "").replaceAll("_", " ")} ${description}</li>`)}</ul>`;
}

export default function Try({ here }) {
  const held = useForm(here);
  const { form, info, errors, setErrors, setForm } = held;
  const explaining = useExplaining();
  const { run } = explaining;
  const steps = useSteps(explaining, setForm);
  const [picked, setPicked] = useState(null);
  const Area = useAnswerArea(run.phase !== "idle");
  const formRef = useRef();
  const answerRef = useRef();

  useEffect(() => { if (errors.length) focusFirstError(formRef.current); }, [errors]);
  useEffect(() => { if (run.phase === "failed" && run.error.violations?.length) setErrors(fieldErrors(run.error)); }, [run.error]);

  const send = (only, input) => {
    const problems = [...inputProblems(info, input), ...(only === "explain" ? optionProblems(info, form.options) : [])];
    setErrors(problems);
    if (problems.length) return false;
    setPicked(null);
    noteAddress(form);
    explaining[only](question(info, form.choice, input, form.options));
    showAnswer(answerRef.current);
    return true;
  };
  const ask = (only) => { if (info && fitsInput(info, form.input) && send(only, form.input)) steps.clear(); };
  const changeInput = (changed, words) => {
    const input = changed(run.asked.input);
    const before = run;
    setForm((now) => ({ ...now, input }));
    if (send("explain", input)) steps.add(words, before);
  };

  return html`<h1>Try</h1>
    <div class="try">
      <${Form} held=${held} run=${run} onAsk=${ask} onStop=${explaining.stop} formRef=${formRef} />
      <section class="answer" ref=${answerRef} aria-label="Answer">
        <${Progress} run=${run} />
        ${run.error && run.phase === "failed" && html`<${Failure} error=${run.error} onRetry=${() => explaining[run.only](run.asked)} />`}
        <${Unplaced} errors=${errors} formRef=${formRef} />
        ${Area && html`<${Area} run=${run} form=${form} steps=${steps.steps} onUndo=${steps.undo} picked=${picked} onPick=${setPicked} onInput=${changeInput} />`}
        ${run.phase === "idle" && form.choice.model && html`<${Start} form=${form} />`}
      </section></div>`;
}

function Start({ form }) {
  return html`<div class="start">
    <p>Give an input and press Explain (Ctrl+Enter). The answer says what is predicted, and what each part of the input adds to that.</p>
    <p class="quiet">The input goes to this console's server and nowhere else.</p>
    <${ShareLink} form=${form} /></div>`;
}
