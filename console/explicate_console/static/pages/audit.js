// The page Audit.
import { html } from "/static/vendor/htm-preact-standalone.js";

export default function Audit({ here }) {
  return html`<h1>Audit</h1>`;
}
