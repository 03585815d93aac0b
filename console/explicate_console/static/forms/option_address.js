// The options in an address, and back: what Try and Compare both put into their links.
import { baselineOf, putBaseline } from "./baseline.js";
import { LISTS, NUMBERS } from "./option_list.js";
import { playersOf, setPlayers } from "../parts/players.js";

export const MOST_INPUT_CHARACTERS = 4000;
const PLAIN_KEYS = [...NUMBERS, ...LISTS].map((each) => each.key).concat("language", "baseline", "baselinePair", "changeTo");

/** Puts all that is not at its default into a query; why another row or picture is left out, or "". */
export function putOptions(query, options, withInput = false) {
  if (options.method && options.method !== "auto") query.set("method", options.method);
  for (const key of PLAIN_KEYS) if (options[key]) query.set(key, options[key]);
  setPlayers(query, options.players);
  return putBaseline(query, options, withInput, MOST_INPUT_CHARACTERS);
}

/** The options that a query tells, without those that it leaves out. Nothing in it is trusted. */
export function optionsOf(query) {
  const told = Object.fromEntries(["method", ...PLAIN_KEYS].filter((key) => query.get(key)).map((key) => [key, query.get(key)]));
  const players = playersOf(query, "column");
  return { ...told, ...baselineOf(query, rowOf), ...(players ? { players } : {}) };
}

/** Cells of a row that a link tells, or null. */
export function rowOf(text) {
  try {
    const cells = Object.create(null);
    for (const [name, value] of Object.entries(JSON.parse(text))) cells[name] = value === null ? null : String(value);
    return { cells };
  } catch {
    return null;
  }
}
