// A link to what the form holds, and the button that copies a text.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { toHash } from "/static/forms/share.js";

/** Copies a text; whether that was possible (browsers allow it on safe addresses only). */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** @param {{text: string, name: string}} props */
export function CopyButton({ text, name }) {
  const [told, setTold] = useState("");
  const copy = async () => setTold((await copied(text)) ? "Copied" : "Not allowed here: select it and copy");
  return html`<span class="copy"><button type="button" onClick=${copy} onBlur=${() => setTold("")}>${name}</button>
    <span class="quiet" role="status">${told}</span></span>`;
}

/** A link to what the form holds; the input only if that is ticked. @param {{form: object, page?: string}} props */
export function ShareLink({ form, page = "try" }) {
  const [withInput, setWithInput] = useState(false);
  const { hash, problem } = toHash({ page, ...form }, withInput);
  const address = `${location.origin}${location.pathname}${hash}`;
  return html`<div class="share"><h3>Link to this form</h3>
    <${CopyButton} text=${address} name="Copy link" />
    <label class="check"><input type="checkbox" checked=${withInput} onChange=${(event) => setWithInput(event.target.checked)} />with the input</label>
    <p class="hint" role="status">${problem || (withInput ? "Anyone who has the link can read the input." : "The link has the model and the options. It fills in the form; it sends nothing by itself.")}</p></div>`;
}
