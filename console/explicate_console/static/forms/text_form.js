// A text, or a pair of texts, with how many of the server's bytes it takes.
import { html, useRef } from "/static/vendor/htm-preact-standalone.js";
import { Field } from "/static/forms/field.js";
import { limitOf } from "/static/forms/model_info.js";
import { count } from "/static/format.js";
import { PartsFold } from "/static/parts/fold.js";
import { withTexts } from "/static/parts/players.js";

const encoder = new TextEncoder();

/** What is wrong with a text, in the server's words, or "". */
export function textProblem(text, mostBytes) {
  const size = encoder.encode(text).length;
  if (size > mostBytes) return `is ${count(size)} bytes of UTF-8; at most ${count(mostBytes)} are accepted`;
  if (!text.trim()) return "is empty; give at least one character that is not white space";
  if (text.includes("\0")) return `holds a NUL character at code point ${[...text.slice(0, text.indexOf("\0"))].length}; remove it`;
  return "";
}

function OneText({ path, label, text, mostBytes, errors, onText, onUse }) {
  const size = encoder.encode(text).length;
  const over = size > mostBytes;
  const hint = html`<span class=${over ? "over" : ""}>${count(size)} of ${count(mostBytes)} bytes</span>`;
  return html`<${Field} path=${path} label=${label} hint=${hint} errors=${errors} wide>${(attributes) => html`
    <textarea ...${attributes} rows="5" dir="auto" spellcheck=${false} value=${text} onFocus=${(event) => onUse(event.target)}
      onInput=${(event) => onText(event.target.value)}></textarea>`}<//>`;
}

/** @param {{info: object, value: {text: string, textPair: string}, onChange: Function, errors?: object[]}} props */
export default function TextForm({ info, value, onChange, errors }) {
  const pairs = info.bundle.text.pairs;
  const common = { mostBytes: limitOf(info, "maxTextBytes"), errors };
  const latest = useRef(null); // the text that was last in use, whose selection counts
  const use = (inPair) => (element) => { latest.current = { element, inPair }; };
  return html`
    <${OneText} ...${common} path="input.text" label=${pairs ? "First text" : "Text"} text=${value.text} onUse=${use(false)} onText=${(text) => onChange(withTexts(value, { text }))} />
    ${pairs && html`<${OneText} ...${common} path="input.text.text_pair" label="Second text" text=${value.textPair} onUse=${use(true)}
      onText=${(textPair) => onChange(withTexts(value, { textPair }))} />`}
    <${PartsFold} title="Words that stay, or go together" module="/static/parts/text_parts.js" info=${info} players=${value.players} input=${value} onInput=${onChange} errors=${errors} latest=${latest} />`;
}
