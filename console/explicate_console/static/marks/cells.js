// The row as a table: each column with its value, what it adds as a bar with its whisker, and the figure.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { cellText, Figure, Key, Name, Row, Table, Track } from "/static/marks/common.js";
import { extent, scale, ticks } from "/static/marks/scales.js";

/** The row in the order of its columns; with `onPick(item)` the values are buttons. */
export default function Cells({ answer, output = 0, onPick }) {
  const { items, name } = answer.outputs[output] ?? { items: [], name: "" };
  const range = extent(items);
  const at = scale(range);
  const heads = [{ title: answer.noun, className: "mark-head" }, { title: "value", className: "mark-cell" },
    { title: "bar", axis: { at, values: ticks(...range, 5) }, className: "mark-track-cell" }, { title: "adds", className: "mark-figures mark-adds" }];
  return html`<div role="group" class="mark mark-cells" aria-label=${`The row, and what each ${answer.noun} adds to ${name}`}>
    <${Table} caption=${`The row, and what each ${answer.noun} adds to ${name}`} heads=${heads}>
      ${items.map((item) => html`<${Row} head=${html`<${Name} text=${item.name} />`} cells=${[
        [value(item, onPick), "mark-cell"], [html`<${Track} at=${at} item=${item} />`, "mark-track-cell"],
        [html`<${Figure} item=${item} answer=${answer} />`, "mark-figures mark-adds"]]} />`)}
      ${answer.fixed.map((part) => html`<${Row} className="mark-fixed" head=${html`<${Name} text=${part.name} />`}
        cells=${[[value(part), "mark-cell"], ["always there", "mark-track-cell mark-quiet"], ["", "mark-figures mark-adds"]]} />`)}
    <//>
    <${Key} answer=${answer} />
  </div>`;
}

function value(item, onPick) {
  const text = cellText(item);
  if (!onPick) return html`<${Name} text=${text} />`;
  return html`<button class="mark-pick" onClick=${() => onPick(item)} aria-label=${`${item.name}: ${text}. Change it`}>
    <bdi dir="auto" title=${text}>${text}</bdi></button>`;
}
