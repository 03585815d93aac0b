// Parts of an input in words, as groups and what is always there are told; without a page.
import { whereabouts } from "./segment_map.js";

const MOST = 12; // parts of a group that are told in a line

/** Whether all that the options ask to hold under a name, or to be always there without one, was drawn on the image. */
function isDrawn({ options }, group) {
  const asked = group === null ? options.fixed : options.groups?.find(({ name }) => name === group)?.parts;
  return Boolean(asked?.length && asked.every((part) => part.box || part.polygon));
}

/** One part of a group, or of what is always there (group is null): “not good”, a column by its name, a segment or a drawn region with where it lies. */
export function partWords(part, answer, group = null) {
  if (part.texts.length) return `“${part.texts.join(" ")}”`;
  const where = whereabouts(part, answer);
  const name = part.segment && isDrawn(answer, group) ? "drawn region" : part.name;
  return where ? `${name} (${where})` : name;
}

/** The words of a group, for the place beside its name; empty for what is no group, and for other kinds. */
export function membersText(item) {
  if (item.group === null || item.group === undefined) return "";
  const names = item.members.filter((part) => part.texts.length).map((part) => `“${part.texts.join(" ")}”`);
  return names.slice(0, MOST).join(", ") + (names.length > MOST ? ", …" : "");
}

/** Groups and what is always there, as facts: [name, value]. */
export function heldFacts(answer) {
  const listed = (parts, group) => parts.slice(0, MOST).map((part) => partWords(part, answer, group)).join(", ") + (parts.length > MOST ? ` and ${parts.length - MOST} more` : "");
  const groups = answer.parts.features.filter((item) => item.group !== null).map((item) => ["one part", `${item.name}: ${listed(item.members, item.name)}`]);
  return [...groups, ["always there", listed(answer.fixed, null)]];
}
