// A box that scrolls by itself where its content is wider or higher than there is room, by keyboard too.
import { html } from "/static/vendor/htm-preact-standalone.js";

/** The box; `name` is what screen readers call it. */
export function Scroll({ name, tall = false, children }) {
  return html`<div class=${`scroll ${tall ? "tall" : ""}`} tabindex="0" role="region" aria-label=${name}>${children}</div>`;
}
