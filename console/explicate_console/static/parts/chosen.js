// What the ways of choosing parts share: the two buttons, what is chosen as chips, the names of groups, what is wrong with them.
import { html, useContext, useState } from "/static/vendor/htm-preact-standalone.js";
import { Field, Scope, errorsAt, idOf } from "/static/forms/field.js";
import { groupErrors, renamed, withoutPart } from "/static/parts/players.js";
import { useStyle } from "/static/styles.js";

await useStyle("/static/parts/parts.css");

/** What the two choices mean. */
export const MEANING = "What is always there is never left out and gets no number: the starting point has it. What is one part is left out together and gets one number.";

/** What is wrong with all groups or all fixed parts, where the focus can go. */
export function WrongOverall({ errors }) {
  return ["options.groups", "options.fixed"].filter((path) => errorsAt(errors, path).length).map((path) => html`
    <p key=${path} class="field-error" tabindex="-1" data-path=${path} aria-invalid="true" dir="auto">${path === "options.groups" ? "Groups" : "Always there"}: ${errorsAt(errors, path).map((each) => each.description).join("; ")}</p>`);
}

/** The field with the name of a group. */
export function GroupName({ group, place, errors, players, onPlayers }) {
  const own = groupErrors(errors, group, place);
  const path = own[0]?.field ?? group.path;
  return html`<${Field} path=${path} label="One part, called" errors=${own.map((each) => ({ ...each, field: path }))}>${(attributes) => html`
    <input ...${attributes} type="text" dir="auto" autocomplete="off" size="14" value=${group.name} onInput=${(event) => onPlayers(renamed(players, group.id, event.target.value))} />`}<//>`;
}

/** Leaves the focus near to what is taken away. */
const focusHeading = (event) => event.currentTarget.closest("details")?.querySelector("summary")?.focus();

function Chip({ each, words, errors, onRemove }) {
  const wrong = errorsAt(errors, each.path, true);
  const id = idOf(each.path, useContext(Scope));
  return html`<li class=${wrong.length ? "wrong" : ""}><span class="chip"><bdi class="cut" title=${words} dir="auto">${words}</bdi>
    <button type="button" id=${id} data-path=${each.path} aria-label=${`No longer choose ${words}`} aria-invalid=${wrong.length ? "true" : undefined}
      aria-describedby=${wrong.length ? `${id}-wrong` : undefined} onClick=${(event) => { focusHeading(event); onRemove(); }}>×</button></span>
    ${wrong.length > 0 && html`<p class="field-error" id=${`${id}-wrong`} dir="auto">${wrong.map((one) => one.description).join("; ")}</p>`}</li>`;
}

/**
 * What is chosen: what is always there, and each group with its name.
 * @param {{found: object, words: Function, errors?: object[], players: object, onPlayers: Function}} props found is what placed() says; words(part) names one
 */
export function Chosen({ found, words, errors, players, onPlayers }) {
  const chips = (parts, name) => html`<ul class="chips" aria-label=${name}>${parts.map((each) => html`<${Chip} key=${each.path} each=${each} words=${words(each.part)} errors=${errors}
    onRemove=${() => onPlayers(withoutPart(players, each.part))} />`)}</ul>`;
  return html`<${WrongOverall} errors=${errors} />
    ${found.fixed.length > 0 && html`<div class="owner"><p>Always there</p>${chips(found.fixed, "Always there")}</div>`}
    ${found.groups.map((group, place) => html`<div class="owner" key=${group.id}>
      <${GroupName} group=${group} place=${place} errors=${errors} players=${players} onPlayers=${onPlayers} />${chips(group.parts, group.name)}</div>`)}`;
}

/** A press of the mouse leaves the focus, and so the selection, where it is. */
const keepFocus = (event) => event.preventDefault();

/** The two buttons. onTake gets "fixed", "new" or the id of a group. @param {{groups: object[], onTake: Function}} props */
export function Tools({ groups, onTake }) {
  const [wanted, setWanted] = useState("new");
  const to = groups.some((group) => String(group.id) === wanted) ? wanted : "new";
  return html`<p class="parts-tools">
    <button type="button" onMouseDown=${keepFocus} onClick=${() => onTake("fixed")}>Always there</button>
    <button type="button" onMouseDown=${keepFocus} onClick=${() => onTake(to === "new" ? "new" : Number(to))}>One part</button>
    ${groups.length > 0 && html`<select aria-label="Of which group" value=${to} dir="auto" onChange=${(event) => setWanted(event.target.value)}>
      <option value="new" selected=${to === "new"}>a new one</option>
      ${groups.map((group) => html`<option value=${String(group.id)} selected=${to === String(group.id)}>with ${group.name}</option>`)}</select>`}</p>`;
}
