// Parts of an input in words, as groups and what is always there are told; without a page.
import { whereabouts } from "./segment_map.js";

const MOST = 12; // parts of a group that are told in a line

/** One part: “not good”, a column by its name, a segment with where it lies. */
export function partWords(part, answer) {
  if (part.texts.length) return `“${part.texts.join(" ")}”`;
  const where = whereabouts(part, answer);
  return where ? `${part.name} (${where})` : part.name;
}

/** What a group holds, for the place beside its name; empty for what is no group, and for columns, whose values stand there. */
export function membersText(item) {
  if (item.group === null || item.group === undefined) return "";
  const names = item.members.map((part) => (part.texts.length ? `“${part.texts.join(" ")}”` : part.name));
  return names.slice(0, MOST).join(", ") + (names.length > MOST ? ", …" : "");
}

/** Groups and what is always there, as facts: [name, value]. */
export function heldFacts(answer) {
  const listed = (parts) => parts.slice(0, MOST).map((part) => partWords(part, answer)).join(", ") + (parts.length > MOST ? ` and ${parts.length - MOST} more` : "");
  const groups = answer.parts.features.filter((item) => item.group !== null).map((item) => ["one part", `${item.name}: ${listed(item.members)}`]);
  return [...groups, ["always there", listed(answer.fixed)]];
}
