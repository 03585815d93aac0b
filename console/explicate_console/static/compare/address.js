// What of a comparison an address tells, so that it can be shared: all but the input.
import { LISTS, NUMBERS } from "../forms/option_list.js";
import { playersOf, setPlayers } from "../parts/players.js";

/** What may differ between the two sides. */
export const DIFFERS = ["versions", "classes", "contrast", "methods", "inputs"];

const OPTION_KEYS = ["method", ...[...LISTS, ...NUMBERS].map((option) => option.key)];
const KEYS_OF_PAIR = { classes: "classes", contrast: "classes", methods: "methods" };

/** The query of a comparison's address; what is at its default is left out. */
export function toQuery({ differs, left, right, classes, methods, options }) {
  const query = new URLSearchParams({ differs });
  const put = (name, value) => value !== undefined && value !== null && value !== "" && query.set(name, value);
  putChoice(put, "", left);
  if (differs === "versions") putChoice(put, "other-", right);
  const pair = { classes, methods }[KEYS_OF_PAIR[differs]];
  if (pair) ["a", "b"].forEach((name, side) => put(name, pair[side]));
  setPlayers(query, options.players);
  for (const key of OPTION_KEYS) if (!(key === "method" && options.method === "auto")) put(key, options[key]);
  return query;
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
  const options = Object.fromEntries(OPTION_KEYS.filter((key) => query.has(key)).map((key) => [key, query.get(key)]));
  const players = playersOf(query, "column");
  return {
    differs, left: choiceOf(query, ""), right: choiceOf(query, "other-"), options: players ? { ...options, players } : options,
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
