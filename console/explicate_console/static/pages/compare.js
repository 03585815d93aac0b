// The page Compare.
import { html } from "/static/vendor/htm-preact-standalone.js";

export default function Compare({ here }) {
  return html`<h1>Compare</h1>`;
}
