// The choice of a model, and of one of its versions or labels, with the state of what is chosen.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { useServer } from "/static/server.js";
import { Field } from "/static/forms/field.js";
import { statusOf } from "/static/forms/model_info.js";
import { kindOf, stateOf } from "/static/models/statuses.js";

const named = (values) => [...new Set(values)];

/** What may be asked of a model: its labels, then its versions, as {value, text}. */
function selectors(models, model) {
  const versions = models.filter((each) => each.model === model && each.version);
  const labels = versions.flatMap((each) => (each.labels ?? []).map((label) => ({ label, version: each.version })));
  labels.sort((one, other) => (other.label === "live") - (one.label === "live") || one.label.localeCompare(other.label));
  return [
    ...labels.map(({ label, version }) => ({ value: `label:${label}`, text: `${label} (now version ${version})` })),
    ...versions.map((each) => ({ value: `version:${each.version}`, text: `version ${each.version} · ${stateOf(each).word}` })),
  ];
}

const valueOf = ({ version, label }) => (version ? `version:${version}` : `label:${label || "live"}`);

function chosen(model, value) {
  const [kind, name] = [value.slice(0, value.indexOf(":")), value.slice(value.indexOf(":") + 1)];
  if (kind === "version") return { model, version: Number(name) };
  return name === "live" ? { model } : { model, label: name };
}

/** The state of a choice in a line: "ready · onnxruntime-cpu · fp32 · text → one class". */
export function ModelState({ value }) {
  const { models, asked, trouble } = useServer();
  const status = statusOf(models, value);
  if (!asked) return html`<p class="hint" aria-busy="true">Asking the server</p>`;
  if (!status) return html`<p class="hint">${trouble ? "The server cannot be asked now." : "The server has no such version."}</p>`;
  const { word } = stateOf(status);
  const parts = [word, kindOf(status), status.runtime, status.precision].filter(Boolean);
  return html`<p class="hint" dir="auto"><span class=${`state-dot ${word}`} aria-hidden="true"></span>${parts.join(" · ")}${status.reason ? `: ${status.reason}` : ""}</p>`;
}

/**
 * @param {{value: {model: string, version?: number, label?: string}, onChange: Function, errors?: object[], legend?: string, name?: string}} props
 * `name` keeps the ids of two choices on one page apart.
 */
export default function ModelChoice({ value, onChange, errors, legend = "Model", name = "model" }) {
  const { models, asked } = useServer();
  const names = named(models.map((each) => each.model));
  if (asked && !names.length) return html`<p>This server has no models yet. Train or export one into its repository; it is seen within seconds.</p>`;
  const known = names.includes(value.model) || !value.model ? names : [...names, value.model];
  const options = selectors(models, value.model);
  const current = valueOf(value);
  if (value.model && !options.some((each) => each.value === current)) options.unshift({ value: current, text: `${current.replace(":", " ")} (not there)` });
  return html`<fieldset class="model-choice"><legend>${legend}</legend>
    <${Field} path=${`${name}.model`} label="Name" errors=${errors}>${(attributes) => html`
      <select ...${attributes} value=${value.model} onChange=${(event) => onChange({ model: event.target.value })}>
        ${known.map((each) => html`<option value=${each} selected=${each === value.model}>${each}</option>`)}</select>`}<//>
    <${Field} path=${`${name}.version`} label="Version" errors=${errors}>${(attributes) => html`
      <select ...${attributes} value=${current} onChange=${(event) => onChange(chosen(value.model, event.target.value))}>
        ${options.map((each) => html`<option value=${each.value} selected=${each.value === current}>${each.text}</option>`)}</select>`}<//>
    <${ModelState} value=${value} />
  </fieldset>`;
}
