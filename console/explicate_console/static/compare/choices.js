// What differs between the two sides, and what is shared.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { Field, Scope } from "/static/forms/field.js";
import InputForm from "/static/forms/input_form.js";
import ModelChoice from "/static/forms/model_choice.js";
import { classesOf, statusOf } from "/static/forms/model_info.js";
import { methodSentence } from "/static/forms/method_words.js";
import OptionsForm from "/static/forms/options_form.js";
import { useServer } from "/static/server.js";
import { DIFFERS } from "/static/compare/address.js";
import { unfit } from "/static/compare/plan.js";

const NAMES = {
  versions: ["Two versions", "the same input and options, asked of two versions, labels or models"],
  classes: ["Two classes", "why the model gives each of two classes its score"],
  contrast: ["A rather than B", "what tells one class from another, as one number for each part"],
  methods: ["Two methods", "the same answer explained in two ways"],
  inputs: ["Two inputs", "two texts, rows or images, explained alike"],
};

/** Radio buttons: what differs. */
export function WhatDiffers({ value, info, onChange }) {
  return html`<fieldset class="differs"><legend>What differs</legend>${DIFFERS.map((each) => {
    const why = info ? unfit(each, info) : "";
    return html`<label class=${why ? "check unfit" : "check"}><input type="radio" name="differs" value=${each} checked=${each === value}
      onChange=${() => onChange(each)} /><span><strong>${NAMES[each][0]}</strong> <span class="hint">${why || NAMES[each][1]}</span></span></label>`;
  })}</fieldset>`;
}

function PairOfChoices({ values, names, labels, onChange, hint }) {
  return html`<div class="two">${labels.map((label, side) => html`
    <${Field} path=${`compare.${side ? "b" : "a"}`} label=${label} hint=${hint?.(values[side])}>${(attributes) => html`
      <select ...${attributes} dir="auto" value=${values[side]} onChange=${(event) => onChange(values.map((each, place) => (place === side ? event.target.value : each)))}>
        ${names.map((name) => html`<option value=${name} selected=${name === values[side]}>${name}</option>`)}</select>`}<//>`)}</div>`;
}

/** The one thing that differs, chosen for A and for B; of versions the model is chosen here, too. */
export function Sides({ form, info, set }) {
  if (form.differs === "versions") {
    return html`<div class="two">
      <${ModelChoice} legend="A: model" value=${form.left} onChange=${(left) => set({ left, ...(left.model !== form.left.model && { right: null }) })} />
      <${Scope.Provider} value="-b"><${ModelChoice} legend="B: model" value=${form.right} onChange=${(right) => set({ right })} /><//></div>
      <${SameVersion} form=${form} />`;
  }
  return html`<${ModelChoice} value=${form.left} onChange=${(left) => set({ left })} />
    ${info && !unfit(form.differs, info) && html`<${Differing} form=${form} info=${info} set=${set} />`}`;
}

/** A word where both sides would be answered by one version, such as of a model that has only one. */
function SameVersion({ form }) {
  const { models } = useServer();
  const [one, other] = [form.left, form.right].map((choice) => statusOf(models, choice));
  if (!one || one !== other) return null;
  return html`<p class="hint">Both sides are version ${one.version} of ${one.model}: only chance can tell them apart. Another version is loaded on the page Models.</p>`;
}

function Differing({ form, info, set }) {
  if (form.differs === "methods") {
    return html`<${PairOfChoices} values=${form.methods} names=${info.methods ?? ["auto"]} labels=${["A: method", "B: method"]}
      hint=${methodSentence} onChange=${(methods) => set({ methods })} />`;
  }
  if (form.differs === "inputs") return null;
  const labels = form.differs === "contrast" ? ["Why A:", "rather than B:"] : ["A: class", "B: class"];
  return html`<${PairOfChoices} values=${form.classes} names=${classesOf(info)} labels=${labels} onChange=${(classes) => set({ classes })} />`;
}

/** The input, or both of them. */
export function Inputs({ form, info, set, errors }) {
  if (form.differs !== "inputs") return html`<${InputForm} info=${info} value=${form.input} onChange=${(input) => set({ input })} errors=${errors.left} />`;
  const copy = () => set({ inputRight: form.input });
  return html`<div class="two inputs">
    <${InputForm} info=${info} value=${form.input} onChange=${(input) => set({ input })} errors=${errors.left} legend="A: first input" />
    <div><${Scope.Provider} value="-b"><${InputForm} info=${info} value=${form.inputRight} onChange=${(inputRight) => set({ inputRight })} errors=${errors.right} legend="B: second input" /><//>
      <p><button type="button" onClick=${copy}>Copy A here, to change it</button></p></div></div>`;
}

/** The options that both sides share. */
export function Shared({ form, info, set, errors }) {
  const rows = [{ name: form.differs === "inputs" ? "the first input" : "the input", cells: form.input.cells }];
  const without = ["target", "change", ...(form.differs === "methods" ? ["method"] : [])];
  return html`<${OptionsForm} info=${info} value=${form.options} onChange=${(options) => set({ options })} errors=${errors.left} without=${without} rows=${rows} legend="Explanation, of both" />`;
}
