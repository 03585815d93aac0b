// What each part adds, as bars from 0 with whiskers at the ends of their intervals, the largest first.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { Figure, Key, More, Part, Row, Table, Track, usePlaces } from "/static/marks/common.js";
import { extent, scale, ticks } from "/static/marks/scales.js";

/** Bars of one output, the `top` largest; the others on demand. */
export default function Bars({ answer, output = 0, top = 15 }) {
  const { items, name } = answer.outputs[output] ?? { items: [], name: "" };
  const places = usePlaces(answer, items);
  const [all, showAll] = useState(false);
  const range = extent(items);
  const at = scale(range);
  const heads = [{ title: answer.noun, className: "mark-head" }, { title: "bar", axis: { at, values: ticks(...range, 5) }, className: "mark-track-cell" },
    { title: "adds", className: "mark-figures mark-adds" }];
  const shown = all ? places : places.slice(0, top);
  return html`<div role="group" class="mark mark-bars" aria-label=${`What each ${answer.noun} adds to ${name}, as bars`}>
    <${Table} caption=${`What each ${answer.noun} adds to ${name}, the largest first`} heads=${heads}>
      ${shown.map((place) => html`<${Row} head=${html`<${Part} item=${items[place]} />`} cells=${[
        [html`<${Track} at=${at} item=${items[place]} />`, "mark-track-cell"],
        [html`<${Figure} item=${items[place]} answer=${answer} />`, "mark-figures mark-adds"]]} />`)}
    <//>
    <${More} hidden=${places.length - shown.length} all=${all} toggle=${() => showAll(!all)} />
    <${Key} answer=${answer} />
  </div>`;
}
