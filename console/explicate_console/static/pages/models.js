// The page Models.
import { html } from "/static/vendor/htm-preact-standalone.js";

export default function Models({ here }) {
  return html`<h1>Models</h1>`;
}
