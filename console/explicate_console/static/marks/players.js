// What was chosen of the parts of an input: what each group holds, and what is always there, under a text or a picture.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { Name } from "/static/marks/common.js";
import { partWords } from "/static/marks/held.js";

const MOST = 12; // parts that are named before the rest is counted

function Parts({ parts, answer, group = null }) {
  return html`${parts.slice(0, MOST).map((part, place) => html`${place ? ", " : ""}<${Name} text=${partWords(part, answer, group)} />`)}${parts.length > MOST && ` and ${parts.length - MOST} more`}`;
}

/** One line for each group, and one for what is always there; nothing where neither was asked for. */
export default function Held({ answer }) {
  const groups = answer.parts.features.filter((item) => item.group !== null);
  if (!groups.length && !answer.fixed.length) return null;
  return html`<div class="mark-held">
    ${groups.map((group) => html`<p><${Name} text=${group.name} />, one part: <${Parts} parts=${group.members} answer=${answer} group=${group.name} /></p>`)}
    ${answer.fixed.length > 0 && html`<p>Always there: <${Parts} parts=${answer.fixed} answer=${answer} /></p>`}</div>`;
}
