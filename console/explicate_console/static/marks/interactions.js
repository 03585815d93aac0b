// What two parts add together, beyond what each adds alone; the strongest pairs first.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { Awaited, Figure, Key, Name, Row, Table, Track } from "/static/marks/common.js";
import { extent, scale, ticks } from "/static/marks/scales.js";

/** The interactions of one output; nothing where none were asked for, and why none are told where there are none. */
export default function Interactions({ answer, output = 0 }) {
  const explained = answer.outputs[output];
  if (!answer.options.interactions || !explained || explained.items.length < 2) return null;
  const pairs = explained.interactions;
  const title = `What two ${answer.nouns} add together, beyond what each adds alone`;
  if (!answer.final) return html`<${Awaited} title=${title} rows=${answer.options.interactions} />`;
  if (!pairs.length) {
    const why = answer.stopReason === "deadline" ? "there was no time left" : "too little was evaluated";
    return html`<div role="group" class="mark" aria-label=${title}><h3>${title}</h3><p class="mark-quiet">None are told: ${why}.</p></div>`;
  }
  const range = extent(pairs);
  const at = scale(range);
  const heads = [{ title: `two ${answer.nouns}`, className: "mark-head" }, { title: "bar", axis: { at, values: ticks(...range, 5) }, className: "mark-track-cell" },
    { title: "together", className: "mark-figures mark-adds" }];
  return html`<div role="group" class="mark mark-interactions" aria-label=${title}><h3>${title}</h3>
    <p class="mark-quiet">Half of each is part of the value of each of the two. Below 0 one makes the other superfluous, or turns it around.</p>
    <${Table} caption=${title} heads=${heads}>
      ${pairs.map((pair) => html`<${Row} head=${html`<${Pair} names=${[pair.first, pair.second].map((place) => explained.items[place]?.name ?? "")} />`} cells=${[
        [html`<${Track} at=${at} item=${pair} />`, "mark-track-cell"],
        [html`<${Figure} item=${pair} answer=${answer} />`, "mark-figures mark-adds"]]} />`)}
    <//><${Key} answer=${answer} /></div>`;
}

function Pair({ names: [first, second] }) {
  return html`<span class="mark-part"><${Name} text=${first} /><span class="mark-quiet">with</span><${Name} text=${second} /></span>`;
}
