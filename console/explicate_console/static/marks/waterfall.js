// From the output without any part to the output as it is: one step for each part, the largest first, the rest as one.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { number, plainNumber } from "/static/format.js";
import { Figure, Key, Part, percent, Row, Signed, Table, Track, usePlaces } from "/static/marks/common.js";
import { scale, steps, ticks } from "/static/marks/scales.js";
import { addsUp } from "/static/marks/wording.js";

const TRACK = "mark-track-cell";
const ADDS = "mark-figures mark-adds";
const REACHES = "mark-figures mark-reaches";

/** The waterfall of one output; `top` steps before the rest. It is a table, so that it can be heard as well. */
export default function Waterfall({ answer, output = 0, top = 10 }) {
  const explained = answer.outputs[output];
  const places = usePlaces(answer, explained?.items ?? []);
  if (!explained) return null;
  const { steps: found, end } = steps(explained, places, top);
  const gap = explained.instance - end;
  const range = rangeOf(explained, found);
  const at = scale(range);
  const { decimals } = answer;
  const heads = [{ title: "step", className: "mark-head" }, { title: "bar", axis: { at, values: ticks(...range, 5) }, className: TRACK },
    { title: "adds", className: ADDS }, { title: "reaches", className: REACHES }];
  return html`<div role="group" class="mark mark-waterfall" aria-label=${`From the baseline to ${explained.name}, step by step`}>
    <${Table} caption=${`Steps from the baseline to ${explained.name}`} heads=${heads}>
      <${End} name=${startOf(answer)} value=${explained.baseline} at=${at} decimals=${decimals} isFirst />
      ${found.map((step) => html`<${Step} step=${step} answer=${answer} at=${at} />`)}
      ${(!addsUp(answer) || (answer.final && Math.abs(gap) >= 0.5 * 10 ** -decimals)) && html`<${Plain} name="not told by the parts" value=${gap} from=${end} at=${at} decimals=${decimals} />`}
      <${End} name=${answer.kind === "text" || answer.kind === "pair" ? "as written" : "as it is"} value=${explained.instance} at=${at} decimals=${decimals} />
    <//>
    <${Key} answer=${answer} />
  </div>`;
}

function startOf(answer) {
  if (answer.method.startsWith("lime")) return "the local model’s intercept";
  if (answer.baselineNote) return answer.fixed.length ? "the baseline, and what is always there" : "the baseline";
  if (answer.fixed.length) return "only what is always there";
  return answer.kind === "text" || answer.kind === "pair" ? "without words" : `without ${answer.nouns}`;
}

function rangeOf(explained, found) {
  const values = [explained.baseline, explained.instance];
  for (const { item, from, to } of found) {
    values.push(to);
    if (item?.hasInterval) values.push(from + item.lower, from + item.upper);
  }
  const known = values.filter((value) => Number.isFinite(value));
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return low < high ? [low, high] : [low - 1, high + 1];
}

function End({ name, value, at, decimals, isFirst = false }) {
  const place = percent(at(value));
  const track = html`<svg class="mark-track" aria-hidden="true" focusable="false">
    <line class="mark-level" x1=${place} x2=${place} y1="15%" y2="85%" />
    ${isFirst && html`<line class="mark-link" x1=${place} x2=${place} y1="85%" y2="122%" />`}</svg>`;
  return html`<${Row} className="mark-end" head=${name} cells=${[[track, TRACK], ["", ADDS], [plainNumber(value, decimals), REACHES]]} />`;
}

function Step({ step, answer, at }) {
  const { item, from, to, rest } = step;
  if (!item) {
    const name = `the other ${rest === 1 ? answer.noun : `${rest} ${answer.nouns}`}`;
    return html`<${Plain} name=${name} value=${step.value} from=${from} at=${at} decimals=${answer.decimals} />`;
  }
  return html`<${Row} head=${html`<${Part} item=${item} />`} cells=${[
    [html`<${Track} at=${at} item=${item} from=${from} to=${to} zero=${null} links=${to} />`, TRACK],
    [html`<${Figure} item=${item} answer=${answer} />`, ADDS], [plainNumber(to, answer.decimals), REACHES]]} />`;
}

/** A step without an interval: the rest, and what the parts do not tell. */
function Plain({ name, value, from, at, decimals }) {
  const item = { value, lower: null, upper: null, hasInterval: false };
  return html`<${Row} className="mark-rest" head=${name} cells=${[
    [html`<${Track} at=${at} item=${item} from=${from} to=${from + value} zero=${null} links=${from + value} />`, TRACK],
    [html`<${Signed} text=${number(value, decimals)} />`, ADDS], [plainNumber(from + value, decimals), REACHES]]} />`;
}
