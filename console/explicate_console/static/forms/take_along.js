// What to take along from an answer: the JSON, the call as code, and a link to the form.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { asCurl, asPython } from "/static/forms/as_code.js";
import { CopyButton, ShareLink } from "/static/forms/share_link.js";
import { token } from "/static/token.js";

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
