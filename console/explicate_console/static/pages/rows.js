// The page Rows.
import { html } from "/static/vendor/htm-preact-standalone.js";

export default function Rows({ here }) {
  return html`<h1>Rows</h1>`;
}
