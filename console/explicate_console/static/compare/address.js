// What of a comparison an address tells, so that it can be shared: all but the input.
import { optionsOf, putOptions } from "../forms/option_address.js";

/** What may differ between the two sides. */
export const DIFFERS = ["versions", "classes", "contrast", "methods", "inputs"];

const KEYS_OF_PAIR = { classes: "classes", contrast: "classes", methods: "methods" };

/** The query of a comparison's address, {query, problem}; what is at its default is left out, and `problem` says what else. */
export function toQuery({ differs, left, right, classes, methods, options }) {
  const query = new URLSearchParams({ differs });
  const put = (name, value) => value !== undefined && value !== null && value !== "" && query.set(name, value);
  putChoice(put, "", left);
  if (differs === "versions") putChoice(put, "other-", right);
  const pair = { classes, methods }[KEYS_OF_PAIR[differs]];
  if (pair) ["a", "b"].forEach((name, side) => put(name, pair[side]));
  return { query, problem: putOptions(query, options) };
}

function putChoice(put, prefix, { model, version, label }) {
  put(`${prefix}model`, model);
  put(`${prefix}version`, version);
  put(`${prefix}label`, label);
}

/** The comparison that an address tells: what it leaves out is undefined, and what it tells wrong is left out. */
export function fromQuery(query) {
  const differs = DIFFERS.includes(query.get("differs")) ? query.get("differs") : "versions";
  const pair = [query.get("a") ?? undefined, query.get("b") ?? undefined];
  return {
    differs, left: choiceOf(query, ""), right: choiceOf(query, "other-"), options: optionsOf(query),
    classes: KEYS_OF_PAIR[differs] === "classes" ? pair : [], methods: KEYS_OF_PAIR[differs] === "methods" ? pair : [],
  };
}

function choiceOf(query, prefix) {
  const model = query.get(`${prefix}model`);
  if (!model) return undefined;
  const version = Number(query.get(`${prefix}version`));
  if (Number.isInteger(version) && version > 0) return { model, version };
  const label = query.get(`${prefix}label`);
  return label ? { model, label } : { model };
}
