// The row as a table: each column with its value, what it adds as a bar with its whisker, and the figure.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { Axis, cellText, Figure, Key, Name, Track } from "/static/marks/common.js";
import { extent, scale, ticks } from "/static/marks/scales.js";

/** The row in the order of its columns; with `onPick(item)` the values are buttons. */
export default function Cells({ answer, output = 0, onPick }) {
  const { items, name } = answer.outputs[output] ?? { items: [], name: "" };
  const range = extent(items);
  const at = scale(range);
  return html`<section class="mark mark-cells" aria-label=${`The row, and what each ${answer.noun} adds to ${name}`}>
    <table class="mark-table">
      <caption class="mark-said">The row, and what each ${answer.noun} adds to ${name}</caption>
      <thead><tr><th scope="col">${answer.noun}</th><th scope="col">value</th>
        <th scope="col"><${Axis} at=${at} values=${ticks(...range, 4)} /><span class="mark-said">bar</span></th>
        <th scope="col" class="mark-figures">adds</th></tr></thead>
      <tbody>${items.map((item) => html`<tr>
        <th scope="row"><${Name} text=${item.name} /></th>
        <td class="mark-cell">${value(item, onPick)}</td>
        <td class="mark-track-cell"><${Track} at=${at} item=${item} /></td>
        <td class="mark-figures"><${Figure} item=${item} answer=${answer} /></td></tr>`)}
        ${answer.fixed.map((part) => html`<tr class="mark-fixed"><th scope="row"><${Name} text=${part.name} /></th>
          <td class="mark-cell">${value(part)}</td><td colspan="2" class="mark-quiet">never left out</td></tr>`)}</tbody>
    </table>
    <${Key} answer=${answer} />
  </section>`;
}

function value(item, onPick) {
  const text = cellText(item);
  if (!onPick) return html`<${Name} text=${text} />`;
  return html`<button class="mark-pick" onClick=${() => onPick(item)} aria-label=${`${item.name}: ${text}. Change it`}>
    <bdi dir="auto" title=${text}>${text}</bdi></button>`;
}
