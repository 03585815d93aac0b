// What to take along from an answer: the JSON, the call as code, and a link to the form.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { asCurl, asPython } from "/static/forms/as_code.js";
import { toHash } from "/static/forms/share.js";
import { token } from "/static/token.js";

/** Copies a text; whether that was possible (browsers allow it on safe addresses only). */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function CopyButton({ text, name }) {
  const [told, setTold] = useState("");
  const copy = async () => setTold((await copied(text)) ? "Copied" : "Not allowed here: select it and copy");
  return html`<span class="copy"><button type="button" onClick=${copy} onBlur=${() => setTold("")}>${name}</button>
    <span class="quiet" role="status">${told}</span></span>`;
}

function Code({ name, text }) {
  return html`<div class="code"><h3>${name}</h3><${CopyButton} text=${text} name=${`Copy as ${name}`} />
    <pre tabindex="0" aria-label=${`The call as ${name}`}>${text}</pre></div>`;
}

function save(asked, raw) {
  const address = URL.createObjectURL(new Blob([JSON.stringify({ request: { spec: asked.spec }, response: raw }, null, 2)], { type: "application/json" }));
  const { model, version } = raw.result?.model ?? raw.model ?? {};
  const link = Object.assign(document.createElement("a"), { href: address, download: `${model}-${version}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
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

/** @param {{run: object, form: object}} props */
export default function TakeAlong({ run, form }) {
  const [open, setOpen] = useState(false);
  const { asked, raw } = run;
  const given = { asked, address: location.origin, hasToken: token() !== "" };
  return html`<details class="take-along" onToggle=${(event) => setOpen(event.target.open)}><summary>Take it along: JSON, code, link</summary>
    ${open && html`<p><button type="button" disabled=${!raw} onClick=${() => save(asked, raw)}>Download as JSON</button></p>
    <${ShareLink} form=${form} />
    <${Code} name="curl" text=${asCurl(given)} />
    <${Code} name="Python" text=${asPython(given)} />`}
  </details>`;
}
