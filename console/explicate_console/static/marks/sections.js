// The sentences of a long text, each with what its words add together.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { Figure, Key, More, Name, Row, Table, Track, usePlaces } from "/static/marks/common.js";
import { extent, scale, ticks } from "/static/marks/scales.js";

/** The sections for one output, the `top` largest; nothing where the text is short. */
export default function Sections({ answer, output = 0, top = 10 }) {
  const items = answer.sections.map((section) => ({ ...section.values[output], name: section.text }));
  const places = usePlaces(answer, items);
  const [all, showAll] = useState(false);
  if (!items.length) return null;
  const range = extent(items);
  const at = scale(range);
  const shown = all ? places : places.slice(0, top);
  const title = "What each sentence adds";
  const heads = [{ title: "sentence", className: "mark-head" }, { title: "bar", axis: { at, values: ticks(...range, 5) }, className: "mark-track-cell" },
    { title: "adds", className: "mark-figures mark-adds" }];
  return html`<div role="group" class="mark mark-sections" aria-label=${title}><h3>${title}</h3>
    <${Table} caption=${`${title} to ${answer.outputs[output]?.name ?? ""}, the largest first`} heads=${heads}>
      ${shown.map((place) => html`<${Row} head=${html`<span class="mark-part"><span class="mark-quiet">${place + 1}</span><${Name} text=${items[place].name} /></span>`} cells=${[
        [html`<${Track} at=${at} item=${items[place]} />`, "mark-track-cell"],
        [html`<${Figure} item=${items[place]} answer=${answer} />`, "mark-figures mark-adds"]]} />`)}
    <//><${More} hidden=${places.length - shown.length} all=${all} toggle=${() => showAll(!all)} />
    <${Key} answer=${answer} /></div>`;
}
