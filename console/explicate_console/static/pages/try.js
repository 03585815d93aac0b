// The page Try.
import { html } from "/static/vendor/htm-preact-standalone.js";

export default function Try({ here }) {
  return html`<h1>Try</h1>`;
}
