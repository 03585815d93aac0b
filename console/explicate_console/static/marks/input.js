// The input, coloured by what its parts add: a text, a row or an image, by the kind of the answer.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import Cells from "/static/marks/cells.js";
import Held from "/static/marks/players.js";
import Segments from "/static/marks/segments.js";
import Words from "/static/marks/words.js";

const OPACITY = 72; // percent of the strongest segment, through which the picture is still seen

/** The mark that fits the kind; over an image with a slider for the opacity of its segments. */
export default function Explained({ answer, output = 0, onPick }) {
  const [opacity, setOpacity] = useState(OPACITY);
  if (!answer.outputs[output]) return html`<p class="mark-quiet">Nothing is explained yet.</p>`;
  if (answer.kind === "row") return html`<${Cells} answer=${answer} output=${output} onPick=${onPick} />`;
  if (answer.kind !== "image") return html`<${Words} answer=${answer} output=${output} onPick=${onPick} /><${Held} answer=${answer} />`;
  return html`<div class="mark">
    <label class="mark-slider">Colour over the picture
      <input type="range" min="0" max="100" step="4" value=${opacity} onInput=${(event) => setOpacity(Number(event.target.value))} aria-valuetext=${`${opacity} percent`} /></label>
    <${Segments} answer=${answer} output=${output} opacity=${opacity / 100} onPick=${onPick} /><${Held} answer=${answer} /></div>`;
}
