// The smallest change that was found which changes the answer, and how far the search for it went.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { cell } from "/static/format.js";
import { Awaited, Name } from "/static/marks/common.js";
import { changeFound, changeSearched } from "/static/marks/wording.js";

const TITLE = "What would change the answer";

/** The change of an answer; nothing where none was asked for, or before the last answer of a stream. */
export default function Change({ answer }) {
  const { change } = answer;
  if (!change) return answer.options.change && !answer.final ? html`<${Awaited} title=${TITLE} rows="1" />` : null;
  const searched = changeSearched(answer);
  return html`<div role="group" class="mark mark-change" aria-label=${TITLE}><h3>${TITLE}</h3>
    <p dir="auto">${changeFound(answer)}</p>
    ${change.columns.length > 0 && html`<div class="mark-wide"><table class="mark-plain"><thead><tr><th scope="col">column</th><th scope="col">is</th><th scope="col">would be</th></tr></thead>
      <tbody>${change.columns.map((each) => html`<tr><th scope="row"><${Name} text=${each.column} /></th>
        <td><${Name} text=${cell(each.before)} /></td><td><strong><${Name} text=${cell(each.after)} /></strong></td></tr>`)}</tbody></table></div>`}
    ${searched && html`<p class="mark-quiet">${searched}</p>`}
  </div>`;
}
