// What an answer says beside its numbers: parts that work together, and the smallest change that changes the answer.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { cell, count, halfWidth, number, share, valueText } from "/static/format.js";

const Part = ({ text }) => html`<bdi class="cut" title=${text} dir="auto">${text}</bdi>`;

/** The strongest interactions of an output as a table. @param {{answer: object, output: number}} props */
export function Interactions({ answer, output }) {
  const { items, interactions } = answer.outputs[output];
  if (!interactions.length) return null;
  const exact = interactions.every((pair) => pair.lower === pair.upper);
  return html`<section class="interactions" aria-label="Interactions">
    <h3>What two ${answer.nouns} add together beyond what each adds alone</h3>
    <div class="wide" tabindex="0" role="group" aria-label="Interactions"><table><thead><tr><th scope="col">one</th><th scope="col">other</th><th scope="col" class="number">together</th>${!exact && html`<th scope="col" class="number">interval</th>`}</tr></thead>
      <tbody>${interactions.map((pair) => html`<tr><td><${Part} text=${items[pair.first]?.name ?? ""} /></td><td><${Part} text=${items[pair.second]?.name ?? ""} /></td>
        <td class=${`number ${pair.value > 0 ? "raised" : pair.value < 0 ? "lowered" : ""}`}>${number(pair.value, answer.decimals)}</td>
        ${!exact && html`<td class="number">${halfWidth(pair, answer.decimals)}</td>`}</tr>`)}</tbody></table></div>
    <p class="hint">Below 0 one takes from what the other adds.${exact ? " These numbers are exact." : ""}</p></section>`;
}

const decided = (told, isValue) => (isValue ? valueText(told.score) : `${told.given ? "" : "not "}${told.label} (${share(told.score)})`);

const ENDS = { budget: "as many changes as allowed were tried", deadline: "time was up", complete: "everything smaller was tried" };

/** How far the search went, in a sentence. */
function certainty(change) {
  if (!change.found) return change.noneSmaller ? "Every change there is was tried: none changes the answer." : `None was found among ${count(change.evaluations)} that were tried: ${ENDS[change.end] ?? "the search ended"}.`;
  if (change.noneNearer) return "No smaller or nearer change does it: all of them were tried.";
  return change.noneSmaller ? "No smaller change does it: all of them were tried." : "There may be a smaller one that was not tried.";
}

function What({ answer, change }) {
  if (change.columns.length) {
    return html`<div class="wide" tabindex="0" role="group" aria-label="What would be different"><table><thead><tr><th scope="col">column</th><th scope="col">is</th><th scope="col">would be</th></tr></thead>
      <tbody>${change.columns.map((each) => html`<tr><td><${Part} text=${each.column} /></td><td><${Part} text=${cell(each.before)} /></td><td><${Part} text=${cell(each.after)} /></td></tr>`)}</tbody></table></div>`;
  }
  const names = change.absent.map((place) => answer.parts.features[place]?.name ?? "");
  return html`<p dir="auto">Without ${names.map((name, at) => html`${at ? ", " : ""}“<${Part} text=${name} />”`)}</p>`;
}

/** The smallest change that changes the answer, as far as it was found. @param {{answer: object, onTake?: Function}} props */
export function Change({ answer, onTake }) {
  const { change } = answer;
  if (!change) return null;
  const isValue = answer.prediction.value !== null;
  return html`<section class="change" aria-label="The smallest change">
    <h3>The smallest change that changes the answer</h3>
    ${change.found && html`<${What} answer=${answer} change=${change} />
      ${change.before && change.after && html`<p dir="auto">The answer goes from <strong>${decided(change.before, isValue)}</strong> to <strong>${decided(change.after, isValue)}</strong>.</p>`}`}
    <p class="hint">${certainty(change)}${answer.kind === "row" ? " It says what the model would answer, not what would happen." : ""}</p>
    ${onTake && change.columns.length > 0 && html`<button type="button" onClick=${onTake}>Try this change</button>`}</section>`;
}
