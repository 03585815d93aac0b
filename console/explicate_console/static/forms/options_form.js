// How an explanation is made: the method and what is explained, and the rest of the options below.
import { html } from "/static/vendor/htm-preact-standalone.js";
import BaselineField from "/static/forms/baseline_form.js";
import { Field } from "/static/forms/field.js";
import { classesOf, columnsOf, defaultsOf, isMultiLabel, isRegression } from "/static/forms/model_info.js";
import { LANGUAGES, LISTS, choiceName, chosenClasses, defaultText, numbersOf, rangeText } from "/static/forms/option_list.js";
import { methodSentence } from "/static/forms/method_words.js";

function MethodField({ info, value, set, errors }) {
  const methods = info.methods?.length ? info.methods : ["auto"];
  return html`<${Field} path="options.method" label="Method" errors=${errors} hint=${methodSentence(value.method)} wide>${(attributes) => html`
    <select ...${attributes} value=${value.method} onChange=${(event) => set({ method: event.target.value })}>
      ${methods.map((each) => html`<option value=${each} selected=${each === value.method}>${each === "auto" ? "auto (default)" : each}</option>`)}</select>`}<//>`;
}

function ClassField({ path, label, labels, value, onValue, errors }) {
  return html`<${Field} path=${path} label=${label} errors=${errors}>${(attributes) => html`
    <select ...${attributes} value=${value} dir="auto" onChange=${(event) => onValue(event.target.value)}>
      ${labels.map((each) => html`<option value=${each} selected=${each === value}>${each}</option>`)}</select>`}<//>`;
}

function TargetFields({ info, value, set, errors }) {
  const labels = classesOf(info);
  if (!labels.length) return null;
  const noun = isMultiLabel(info) ? "label" : "class";
  const choices = { predicted: isMultiLabel(info) ? "the most probable label" : "the predicted class", class: `one ${noun}`, all: isMultiLabel(info) ? "all labels" : "all classes" };
  if (labels.length > 1) choices.contrast = `why one ${noun} rather than another`;
  const [first, second] = chosenClasses(info, value);
  const choose = (target) => set({ target, targetClass: first, againstClass: second });
  return html`
    <${Field} path="options.target" label="Explain" errors=${errors}>${(attributes) => html`
      <select ...${attributes} value=${value.target} onChange=${(event) => choose(event.target.value)}>
        ${Object.entries(choices).map(([name, text]) => html`<option value=${name} selected=${name === value.target}>${text}</option>`)}</select>`}<//>
    ${value.target === "class" && html`<${ClassField} path="options.target.label" label=${noun === "class" ? "Class" : "Label"} labels=${labels} value=${first} errors=${errors}
      onValue=${(targetClass) => set({ targetClass })} />`}
    ${value.target === "contrast" && html`
      <${ClassField} path="options.target.contrast.target" label="Why" labels=${labels} value=${first} errors=${errors} onValue=${(targetClass) => set({ targetClass })} />
      <${ClassField} path="options.target.contrast.reference" label="rather than" labels=${labels} value=${second} errors=${errors} onValue=${(againstClass) => set({ againstClass })} />`}`;
}

function NumberFields({ info, value, set, errors }) {
  return numbersOf(info, value.method).map((option) => {
    const standard = defaultText(option, info, value.method);
    return html`<${Field} key=${option.key} path=${`options.${option.path}`} label=${option.name} errors=${errors}
      hint=${`${option.meaning}, ${rangeText(option.range(info))}`}>${(attributes) => html`
      <input ...${attributes} type="text" inputmode="decimal" autocomplete="off" size="12" value=${value[option.key] ?? ""} placeholder=${`default: ${standard}`}
        onInput=${(event) => set({ [option.key]: event.target.value })} />`}<//>`;
  });
}

function ListFields({ info, value, set, errors }) {
  return LISTS.map((option) => {
    const values = option.values(info);
    if (!values.length) return null;
    const standard = defaultsOf(info, value.method)[option.key];
    return html`<${Field} key=${option.key} path=${`options.${option.path}`} label=${option.name} errors=${errors}>${(attributes) => html`
      <select ...${attributes} value=${value[option.key] ?? ""} onChange=${(event) => set({ [option.key]: event.target.value })}>
        <option value="" selected=${!value[option.key]}>default${standard && value.method !== "auto" ? `: ${choiceName(standard)}` : ""}</option>
        ${values.map((each) => html`<option value=${each} selected=${each === value[option.key]}>${choiceName(each)}</option>`)}</select>`}<//>`;
  });
}

function ChangeGoal({ info, value, set, errors }) {
  if (isRegression(info)) {
    return html`<${Field} path="options.change.value" label="Value to reach or to fall below" errors=${errors} hint=${info.bundle.targetName ?? ""}>${(attributes) => html`
      <input ...${attributes} type="text" inputmode="decimal" size="12" value=${value.changeTo ?? ""} onInput=${(event) => set({ changeTo: event.target.value })} />`}<//>`;
  }
  if (isMultiLabel(info)) return null;
  return html`<${Field} path="options.change" inside label="The answer is to become" errors=${errors}>${(attributes) => html`
    <select ...${attributes} value=${value.changeTo ?? ""} dir="auto" onChange=${(event) => set({ changeTo: event.target.value })}>
      <option value="" selected=${!value.changeTo}>any other class</option>
      ${classesOf(info).map((each) => html`<option value=${each} selected=${each === value.changeTo}>${each}</option>`)}</select>`}<//>`;
}

function ChangeFields({ info, value, set, errors }) {
  const kept = value.changeKeep ?? [];
  const keep = (name, on) => set({ changeKeep: on ? [...kept, name] : kept.filter((each) => each !== name) });
  const columns = columnsOf(info);
  return html`<div class="field wide-field">
    <label class="check"><input type="checkbox" checked=${Boolean(value.change)} onChange=${(event) => set({ change: event.target.checked })} />
      Look for the smallest change that changes the answer</label>
    ${value.change && html`<${ChangeGoal} info=${info} value=${value} set=${set} errors=${errors} />`}
    ${value.change && columns.length > 0 && html`<fieldset class="kept"><legend>These columns keep their values</legend>
      ${columns.map(({ name }) => html`<label class="check" dir="auto"><input type="checkbox" checked=${kept.includes(name)} onChange=${(event) => keep(name, event.target.checked)} />${name}</label>`)}</fieldset>`}
  </div>`;
}

/**
 * @param {{info: object, value: object, onChange: Function, errors?: object[], legend?: string, without?: string[], rows?: object[]}} props
 * `without` names what the page chooses itself: "method", "target", "change"; `rows` are those of the page, see baseline_form.js.
 */
export default function OptionsForm({ info, value, onChange, errors, legend = "Explanation", without = [], rows }) {
  const set = (changed) => onChange({ ...value, ...changed });
  const given = { info, value, set, errors };
  return html`<fieldset class="options-form"><legend>${legend}</legend>
    ${!without.includes("method") && html`<${MethodField} ...${given} />`}
    ${!without.includes("target") && html`<${TargetFields} ...${given} />`}
    <details class="more"><summary>More options</summary>
      <div class="cells">
        <${ListFields} ...${given} />
        <${NumberFields} ...${given} />
        <${Field} path="options.language" label="Language of the sentences" errors=${errors}>${(attributes) => html`
          <select ...${attributes} value=${value.language ?? ""} onChange=${(event) => set({ language: event.target.value })}>
            <option value="" selected=${!value.language}>default: English</option>
            ${Object.entries(LANGUAGES).map(([tag, name]) => html`<option value=${tag} selected=${tag === value.language}>${name}</option>`)}</select>`}<//>
        <${BaselineField} ...${given} rows=${rows} />
        ${!without.includes("change") && html`<${ChangeFields} ...${given} />`}
      </div>
    </details></fieldset>`;
}
