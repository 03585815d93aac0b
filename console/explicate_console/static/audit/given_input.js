// The input of a replay where the log has none: a text, a pair, a row or a file, by what the model reads.
import { html, useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { call } from "/static/api.js";
import { kindOf } from "/static/forms/model_info.js";

const KINDS = { text: "A text", pair: "Two texts", row: "A row", image: "An image" };

export function GivenInput({ name, lead, model, version }) {
  const [kind, setKind] = useState("text");
  useEffect(() => {
    call("ModelService/GetModel", { model, version }).then((info) => setKind(kindOf(info) || "text"), () => {}); // it may be chosen all the same
  }, [model, version]);
  return html`<fieldset class="audit-given"><legend>${name === "input" ? "The input" : "What it was set against"}</legend>
    <p class="quiet">${lead}</p>
    <label>It is <select name=${`${name}-kind`} value=${kind} onChange=${(event) => setKind(event.target.value)}>
      ${Object.entries(KINDS).map(([value, words]) => html`<option value=${value}>${words.toLowerCase()}</option>`)}</select></label>
    ${(kind === "text" || kind === "pair") && html`<label>${kind === "pair" ? "First text" : "Text"}<textarea name=${`${name}-text`} rows="4" dir="auto" required></textarea></label>`}
    ${kind === "pair" && html`<label>Second text<textarea name=${`${name}-pair`} rows="3" dir="auto" required></textarea></label>`}
    ${kind === "row" && html`<label>Row, as JSON<textarea name=${`${name}-row`} rows="5" spellcheck=${false} required
      placeholder=${'{"age": 34, "job": "clerk", "income": null}'}></textarea></label>`}
    ${kind === "image" && html`<label>Image file<input type="file" name=${`${name}-image`} accept="image/*" required /></label>`}
  </fieldset>`;
}

/** What a form gives, in the log's own form: {input?, baseline?}. */
export async function given(form, wanted) {
  const document = {};
  for (const name of ["input", "baseline"]) if (wanted[name]) document[name] = await one(form.elements, name);
  return document;
}

async function one(elements, name) {
  const kind = elements[`${name}-kind`].value;
  if (kind === "image") return { image: await base64(elements[`${name}-image`].files[0]) };
  if (kind === "row") return { cells: row(elements[`${name}-row`].value) };
  const text = elements[`${name}-text`].value;
  return kind === "pair" ? { text, text_pair: elements[`${name}-pair`].value } : { text };
}

function row(told) {
  let cells;
  try { cells = JSON.parse(told); } catch (error) { throw new Error(`The row is not JSON: ${error.message}`); }
  if (typeof cells !== "object" || cells === null || Array.isArray(cells)) throw new Error("The row must be a JSON object: columns and their values.");
  return cells;
}

async function base64(file) {
  const content = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let start = 0; start < content.length; start += 0x8000) text += String.fromCharCode(...content.subarray(start, start + 0x8000));
  return btoa(text);
}

/** An input of the log as protobuf's JSON has it, for drawing. */
export function sentInput(held) {
  if (!held) return null;
  if (held.image) return { image: { content: held.image } };
  if (!held.cells) return { text: { text: held.text, textPair: held.text_pair } };
  const cell = (value) => (value === null ? { missing: null } : typeof value === "number" ? { number: value } : { category: String(value) });
  return { tabular: { cells: Object.fromEntries(Object.entries(held.cells).map(([name, value]) => [name, cell(value)])) } };
}
