// For each column, or group of the schema, whether it is a part of its own, always there, or one part with others.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { Field } from "/static/forms/field.js";
import { columnsOf } from "/static/forms/model_info.js";
import { GroupName, MEANING, WrongOverall } from "/static/parts/chosen.js";
import { NOBODY, placed, unitsOf, withPart, withoutPart } from "/static/parts/players.js";

const OWN = "own";

/** @param {{info: object, players?: object, onPlayers: Function, errors?: object[]}} props */
export default function RowParts({ info, players = NOBODY, onPlayers, errors }) {
  const columns = columnsOf(info);
  const units = unitsOf(columns);
  const found = placed(info, players);
  const all = [...found.fixed, ...found.groups.flatMap((group) => group.parts)];
  const choose = (unit, held) => (event) => {
    const to = event.target.value;
    if (to === OWN) return onPlayers(withoutPart(players, held.part));
    return onPlayers(withPart(players, { column: unit }, ["fixed", "new"].includes(to) ? to : Number(to), units));
  };
  return html`<p class="hint">${MEANING}</p><${WrongOverall} errors=${errors} />
    <div class="cells">${units.map((unit) => {
      const held = all.find(({ part }) => part.column === unit);
      const members = columns.filter((column) => column.group === unit).map((column) => column.name);
      const value = String(held?.part.to ?? OWN);
      const option = (to, text) => html`<option value=${to} selected=${value === to}>${text}</option>`;
      return html`<${Field} key=${unit} path=${held?.path ?? `parts.${unit}`} label=${unit} hint=${members.length > 0 && members.join(", ")} errors=${errors} inside>${(attributes) => html`
        <select ...${attributes} value=${value} dir="auto" onChange=${choose(unit, held)}>
          ${option(OWN, "a part of its own")}${option("fixed", "always there")}
          ${found.groups.map((group) => option(String(group.id), `together as ${group.name}`))}${option("new", "together as a new group")}</select>`}<//>`;
    })}</div>
    ${found.groups.map((group, place) => html`<div class="owner" key=${group.id}><${GroupName} group=${group} place=${place} errors=${errors} players=${players} onPlayers=${onPlayers} />
      <p class="hint">${group.parts.map(({ part }, at) => html`${at ? ", " : ""}<bdi class="cut" title=${part.column}>${part.column}</bdi>`)}</p></div>`)}`;
}
