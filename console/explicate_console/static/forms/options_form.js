// How an explanation is made: the method and what is explained, and the rest of the options below.
import { html } from "/static/vendor/htm-preact-standalone.js";
import BaselineField from "/static/forms/baseline_form.js";
import { Field } from "/static/forms/field.js";
import { classesOf, defaultsOf, isMultiLabel, kindOf } from "/static/forms/model_info.js";
import { LANGUAGES, LISTS, choiceName, chosenClasses, defaultText, numbersOf, rangeText } from "/static/forms/option_list.js";
import { methodSentence } from "/static/forms/method_words.js";
import { Later } from "/static/later.js";
import { PartsFold } from "/static/parts/fold.js";

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

function ChangeFields(given) {
  const { value, set } = given;
  return html`<div class="field wide-field">
    <label class="check"><input type="checkbox" checked=${Boolean(value.change)} onChange=${(event) => set({ change: event.target.checked })} />
      Look for the smallest change that changes the answer</label>
    ${value.change && html`<${Later} module="/static/forms/change_form.js" ...${given} />`}
  </div>`;
}

function RowParts({ info, value, set, errors }) {
  if (kindOf(info) !== "row") return null;
  return html`<${PartsFold} title="Columns that stay, or go together" module="/static/parts/row_parts.js" info=${info} players=${value.players} errors=${errors} onPlayers=${(players) => set({ players })} />`;
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
        <${RowParts} ...${given} />
        ${!without.includes("change") && html`<${ChangeFields} ...${given} />`}
      </div>
    </details></fieldset>`;
}
