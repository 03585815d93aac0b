// What each part adds, as bars from 0 with whiskers at the ends of their intervals, the largest first.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { Axis, cellText, Figure, Key, Name, Track, usePlaces } from "/static/marks/common.js";
import { extent, scale, ticks } from "/static/marks/scales.js";

/** Bars of one output, the `top` largest; the others on demand. */
export default function Bars({ answer, output = 0, top = 15 }) {
  const { items, name } = answer.outputs[output] ?? { items: [], name: "" };
  const places = usePlaces(answer, items);
  const [all, showAll] = useState(false);
  const range = extent(items);
  const at = scale(range);
  const marks = ticks(...range, 4);
  const shown = all ? places : places.slice(0, top);
  return html`<section class="mark mark-bars" aria-label=${`What each ${answer.noun} adds to ${name}`}>
    <table class="mark-table">
      <caption class="mark-said">What each ${answer.noun} adds to ${name}, the largest first</caption>
      <thead><tr><th scope="col">${answer.noun}</th><th scope="col"><${Axis} at=${at} values=${marks} /><span class="mark-said">bar</span></th><th scope="col" class="mark-figures">adds</th></tr></thead>
      <tbody>${shown.map((place) => html`<${Row} item=${items[place]} answer=${answer} at=${at} />`)}</tbody>
    </table>
    ${places.length > top && html`<button class="mark-more" aria-expanded=${all} onClick=${() => showAll(!all)}>
      ${all ? "Show fewer" : `Show the other ${places.length - top}`}</button>`}
    <${Key} answer=${answer} />
  </section>`;
}

function Row({ item, answer, at }) {
  const beside = cellText(item);
  return html`<tr><th scope="row"><${Name} text=${item.name} />${beside && html` <bdi class="mark-beside" dir="auto" title=${beside}>${beside}</bdi>`}</th>
    <td class="mark-track-cell"><${Track} at=${at} item=${item} /></td>
    <td class="mark-figures"><${Figure} item=${item} answer=${answer} /></td></tr>`;
}
