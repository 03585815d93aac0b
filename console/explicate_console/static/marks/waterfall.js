// From the output without any part to the output as it is: one step for each part, the largest first, the rest as one.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { number, plainNumber } from "/static/format.js";
import { Axis, cellText, Figure, Key, Name, Track, usePlaces } from "/static/marks/common.js";
import { scale, steps, ticks } from "/static/marks/scales.js";

/** The waterfall of one output; `top` steps before the rest. */
export default function Waterfall({ answer, output = 0, top = 10 }) {
  const explained = answer.outputs[output];
  const places = usePlaces(answer, explained?.items ?? []);
  if (!explained) return null;
  const { steps: found, end } = steps(explained, places, top);
  const gap = explained.instance - end;
  const range = rangeOf(explained, found);
  const at = scale(range);
  const decimals = answer.decimals;
  return html`<section class="mark mark-waterfall" aria-label=${`From the baseline to ${explained.name}`}>
    <table class="mark-table">
      <caption class="mark-said">Steps from the baseline to the output ${explained.name}</caption>
      <thead><tr><th scope="col">step</th><th scope="col"><${Axis} at=${at} values=${ticks(...range, 4)} /><span class="mark-said">bar</span></th>
        <th scope="col" class="mark-figures">adds</th><th scope="col" class="mark-figures">reaches</th></tr></thead>
      <tbody>
        <${End} name=${startOf(answer)} value=${explained.baseline} at=${at} decimals=${decimals} links=${explained.baseline} />
        ${found.map((step) => html`<${Step} step=${step} answer=${answer} at=${at} />`)}
        ${Math.abs(gap) >= 0.5 * 10 ** -decimals && html`<${Plain} name="not told by the parts" value=${gap} from=${end} at=${at} decimals=${decimals} />`}
        <${End} name=${answer.kind === "text" || answer.kind === "pair" ? "as written" : "as it is"} value=${explained.instance} at=${at} decimals=${decimals} links=${null} />
      </tbody></table>
    <${Key} answer=${answer} />
  </section>`;
}

function startOf(answer) {
  if (answer.method.startsWith("lime")) return "the local model's intercept";
  return answer.baselineNote ? "the baseline" : `without ${answer.nouns}`;
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

function End({ name, value, at, decimals, links }) {
  return html`<tr class="mark-end"><th scope="row">${name}</th>
    <td class="mark-track-cell"><svg class="mark-track" aria-hidden="true" focusable="false">
      <line class="mark-level" x1=${`${at(value)}%`} x2=${`${at(value)}%`} y1="15%" y2="85%" />
      ${links !== null && html`<line class="mark-link" x1=${`${at(value)}%`} x2=${`${at(value)}%`} y1="85%" y2="100%" />`}</svg></td>
    <td class="mark-figures"></td><td class="mark-figures">${plainNumber(value, decimals)}</td></tr>`;
}

function Step({ step, answer, at }) {
  const { item, from, to, rest } = step;
  if (!item) {
    const name = `the other ${rest} ${rest === 1 ? answer.noun : answer.nouns}`;
    return html`<${Plain} name=${name} value=${step.value} from=${from} at=${at} decimals=${answer.decimals} />`;
  }
  const beside = cellText(item);
  return html`<tr><th scope="row"><${Name} text=${item.name} />${beside && html` <bdi class="mark-beside" dir="auto" title=${beside}>${beside}</bdi>`}</th>
    <td class="mark-track-cell"><${Track} at=${at} item=${item} from=${from} to=${to} zero=${null} links=${to} /></td>
    <td class="mark-figures"><${Figure} item=${item} answer=${answer} /></td>
    <td class="mark-figures">${plainNumber(to, answer.decimals)}</td></tr>`;
}

/** A step without an interval: the rest, and what the parts do not tell. */
function Plain({ name, value, from, at, decimals }) {
  const item = { value, lower: null, upper: null, hasInterval: false };
  return html`<tr class="mark-rest"><th scope="row">${name}</th>
    <td class="mark-track-cell"><${Track} at=${at} item=${item} from=${from} to=${from + value} zero=${null} links=${from + value} /></td>
    <td class="mark-figures"><span class="mark-value">${number(value, decimals)}</span></td>
    <td class="mark-figures">${plainNumber(from + value, decimals)}</td></tr>`;
}
