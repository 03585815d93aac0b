// Which parts of an input are one player, and which are never left out, as a form holds them:
// {groups: [{id, name}], parts: [{to, ...}], dropped}. `to` is "fixed" or the id of a group; `dropped` are the words of
// ranges that an edit has taken away. Columns are chosen with the options; ranges and boxes with the input that has them.
import { columnsOf, kindOf } from "../forms/model_info.js";
import { codePoint, isWhole, rangeAfter } from "./text_ranges.js";

export const NOBODY = { groups: [], parts: [], dropped: [] };
const MOST_NAME = 100;

/** What a model's rows may be parted into: its columns, and in place of those that the schema groups the group. */
export const unitsOf = (columns) => [...new Set(columns.map((column) => column.group || column.name))];

/** The parts that an input of a model has, by its kind: what makes the message of one, or nothing where it does not fit. */
const MESSAGES = {
  row: (info) => {
    const units = unitsOf(columnsOf(info));
    return ({ column }) => (units.includes(column) ? { name: column } : undefined);
  },
  text: (info, input) => (part) => rangeMessage(part, [input?.text ?? ""]),
  pair: (info, input) => (part) => rangeMessage(part, [input?.text ?? "", input?.textPair ?? ""]),
  image: () => ({ box }) => (box ? { box } : undefined),
};

function rangeMessage({ range }, texts) {
  const text = range && texts[range.inPair ? 1 : 0];
  if (text === undefined || !isWhole(text, range)) return undefined;
  const [start, end] = [codePoint(text, range.start), codePoint(text, range.end)];
  return { range: { start, end, ...(range.inPair && { inPair: true }) } };
}

/**
 * The parts as they are sent, with their paths in the contract: {groups: [{id, name, path, parts}], fixed}, parts being
 * [{part, path, message}]. What does not fit the model or the input is not among them, nor a group without parts.
 */
export function placed(info, players, input) {
  const messageOf = MESSAGES[kindOf(info)]?.(info, input) ?? (() => undefined);
  const { groups, parts } = players ?? NOBODY;
  const of = (to, path) => parts.filter((part) => part.to === to).map((part) => ({ part, message: messageOf(part) }))
    .filter(({ message }) => message).map((each, place) => ({ ...each, path: `${path}[${place}]` }));
  const named = groups.map(({ id, name }) => ({ id, name, path: `options.groups[${name}]`, parts: of(id, `options.groups[${name}].parts`) }));
  return { groups: named.filter((group) => group.parts.length), fixed: of("fixed", "options.fixed") };
}

/** What the options of a request say of the parts: {groups, fixed}, without what is empty. */
export function playersMessage(info, players, input) {
  const { groups, fixed } = placed(info, players, input);
  const told = ({ parts }) => parts.map(({ message }) => message);
  return { ...(groups.length && { groups: groups.map((group) => ({ name: group.name, parts: told(group) })) }), ...(fixed.length && { fixed: told({ parts: fixed }) }) };
}

/** What is wrong with the names of the groups, as violations in the server's words. */
export function playerProblems(info, players, input) {
  const { groups, fixed } = placed(info, players, input);
  const owned = new Set([...groups.flatMap((group) => group.parts), ...fixed].map(({ part }) => part.column));
  const columns = kindOf(info) === "row" ? unitsOf(columnsOf(info)).filter((name) => !owned.has(name)) : [];
  const wrong = ({ name }, place) => {
    if (!name.trim() || [...name].length > MOST_NAME || /\p{C}|(?! )\p{Z}/u.test(name)) return `must be 1 to ${MOST_NAME} printable characters, not only spaces`;
    if (groups.findIndex((group) => group.name === name) < place) return "comes twice; give each group a name of its own";
    return columns.includes(name) ? "is the name of a column outside of the group; take another" : "";
  };
  return groups.map((group, place) => ({ field: `options.groups[${place}].name`, description: wrong(group, place) })).filter((each) => each.description);
}

/** The errors of a group itself: of its name, by whatever path the server says that. */
export function groupErrors(errors, group, place) {
  const paths = [`options.groups[${place}].name`, group.path, `${group.path}.parts`];
  return (errors ?? []).filter(({ field }) => paths.includes(field));
}

/** A name for a new group. */
export function newName(groups, taken = []) {
  for (let number = 1; ; number += 1) {
    const name = `group ${number}`;
    if (!taken.includes(name) && groups.every((each) => each.name !== name)) return name;
  }
}

const tidy = ({ groups, parts }) => ({ groups: groups.filter(({ id }) => parts.some((part) => part.to === id)), parts, dropped: [] });

/** Whether two parts cover something in common, as far as that is seen from here. */
function clash(one, other) {
  if (one.column !== undefined) return one.column === other.column;
  if (one.range && other.range) return Boolean(one.range.inPair) === Boolean(other.range.inPair) && one.range.start < other.range.end && other.range.start < one.range.end;
  return JSON.stringify(one.box) === JSON.stringify(other.box);
}

/** With a part that goes to "fixed", to "new" (a group of its own) or to the group with an id; it takes what others held of it. */
export function withPart(players, part, to, taken) {
  const { groups, parts } = players ?? NOBODY;
  const others = parts.filter((each) => !clash(each, part));
  if (to !== "new") return tidy({ groups, parts: [...others, { ...part, to }] });
  const id = 1 + Math.max(0, ...groups.map((group) => group.id));
  return tidy({ groups: [...groups, { id, name: newName(groups, taken) }], parts: [...others, { ...part, to: id }] });
}

/** Without a part, which then is one of its own again. */
export const withoutPart = (players, part) => tidy({ groups: players.groups, parts: players.parts.filter((each) => each !== part) });

/** With another name for a group. */
export const renamed = (players, id, name) => ({ ...players, groups: players.groups.map((group) => (group.id === id ? { ...group, name } : group)) });

/** An input with other texts: its ranges move along, and those whose words were changed are dropped and told. */
export function withTexts(input, changed) {
  const after = { ...input, ...changed };
  if (!input.players?.parts.length) return after;
  const dropped = [...input.players.dropped];
  const parts = input.players.parts.flatMap((part) => {
    const key = part.range.inPair ? "textPair" : "text";
    const range = rangeAfter(part.range, input[key], after[key]);
    if (!range) dropped.push(input[key].slice(part.range.start, part.range.end));
    return range ? [{ ...part, range: { ...part.range, ...range } }] : [];
  });
  return { ...after, players: { ...tidy({ groups: input.players.groups, parts }), dropped } };
}

const isPlace = (value) => Number.isInteger(value) && value >= 0;

function partOf(told) {
  if (typeof told === "string") return { column: told };
  if (!Array.isArray(told) || !isPlace(told[0]) || !isPlace(told[1]) || told[0] >= told[1]) return null;
  return { range: { start: told[0], end: told[1], inPair: told[2] === 1 } };
}

const written = ({ column, range }) => column ?? [range.start, range.end, ...(range.inPair ? [1] : [])];

/** Notes columns or ranges in an address; boxes are not told, as pictures are not. */
export function setPlayers(query, players) {
  const { groups, parts } = players ?? NOBODY;
  const of = (to) => parts.filter((part) => part.to === to && !part.box).map(written);
  for (const { id, name } of groups) if (of(id).length) query.append("together", JSON.stringify([name, ...of(id)]));
  if (of("fixed").length) query.set("always", JSON.stringify(of("fixed")));
}

function listOf(text) {
  try {
    const found = JSON.parse(text);
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

/** What an address says of columns ("column") or of ranges ("range"), or undefined. Nothing in it is trusted. */
export function playersOf(query, kind) {
  const groups = [];
  const parts = [];
  const take = (list, to) => {
    const found = list.map(partOf).filter((part) => part && kind in part);
    parts.push(...found.map((part) => ({ ...part, to })));
    return found.length;
  };
  for (const [name, ...list] of query.getAll("together").map(listOf)) {
    const id = groups.length + 1;
    if (typeof name === "string" && take(list, id)) groups.push({ id, name });
  }
  take(listOf(query.get("always")), "fixed");
  return parts.length ? { groups, parts, dropped: [] } : undefined;
}
