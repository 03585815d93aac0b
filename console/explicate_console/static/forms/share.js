// The form as an address, and back: the model and the options always, the input only when asked.
import { count } from "/static/format.js";
import { baselineOf, putBaseline } from "/static/forms/baseline.js";
import { changeOf, setChange } from "/static/forms/change_message.js";
import { LISTS, NUMBERS, emptyOptions } from "/static/forms/option_list.js";
import { playersOf, setPlayers } from "/static/parts/players.js";

export const MOST_INPUT_CHARACTERS = 4000;
const PLAIN_KEYS = [...NUMBERS, ...LISTS].map((each) => each.key).concat("language", "baseline", "baselinePair", "changeTo");

/**
 * The address of what the forms hold.
 * @returns {{hash: string, problem: string}} problem says why the input or another row was left out, or is ""
 */
export function toHash({ page = "try", choice, options, input }, withInput = false) {
  const query = new URLSearchParams({ model: choice.model });
  if (choice.version) query.set("version", choice.version);
  if (choice.label) query.set("label", choice.label);
  if (options.method !== "auto") query.set("method", options.method);
  setTarget(query, options);
  for (const key of PLAIN_KEYS) if (options[key]) query.set(key, options[key]);
  setChange(query, options);
  setPlayers(query, options.players);
  const problems = [withInput ? setInput(query, input) : "", putBaseline(query, options, withInput, MOST_INPUT_CHARACTERS)];
  return { hash: `#/${page}?${query}`, problem: problems.filter(Boolean).join(" ") };
}

function setTarget(query, { target, targetClass, againstClass }) {
  if (target === "predicted") return;
  query.set("target", target);
  if (target === "class" || target === "contrast") query.set("class", targetClass ?? "");
  if (target === "contrast") query.set("against", againstClass ?? "");
}

function setInput(query, input) {
  if (input?.image !== undefined) return "Pictures do not go into links: send the file along.";
  const given = input?.cells ? [["row", JSON.stringify(input.cells)]] : [["text", input?.text], ["pair", input?.textPair]];
  const length = given.reduce((sum, [, text]) => sum + (text?.length ?? 0), 0);
  if (length > MOST_INPUT_CHARACTERS) return `The input is ${count(length)} characters long; links take ${count(MOST_INPUT_CHARACTERS)} at most.`;
  for (const [key, text] of given) if (text) query.set(key, text);
  setPlayers(query, input?.players);
  return "";
}

/** What the forms hold by an address's query: {choice, options, input or null}. Nothing in it is trusted. */
export function fromQuery(query) {
  const choice = { model: query.get("model") ?? "" };
  if (/^[1-9]\d{0,8}$/.test(query.get("version") ?? "")) choice.version = Number(query.get("version"));
  else if (query.get("label")) choice.label = query.get("label");
  const options = { ...emptyOptions(), method: query.get("method") || "auto" };
  const target = query.get("target");
  if (["class", "all", "contrast"].includes(target)) Object.assign(options, { target, targetClass: query.get("class") ?? "", againstClass: query.get("against") ?? "" });
  for (const key of PLAIN_KEYS) if (query.get(key)) options[key] = query.get(key);
  Object.assign(options, baselineOf(query, rowOf), changeOf(query), { players: playersOf(query, "column") });
  return { choice, options, input: inputOf(query) };
}

function inputOf(query) {
  if (query.has("row")) return rowOf(query.get("row"));
  return query.has("text") ? { text: query.get("text"), textPair: query.get("pair") ?? "", players: playersOf(query, "range") } : null;
}

function rowOf(text) {
  try {
    const cells = Object.create(null);
    for (const [name, value] of Object.entries(JSON.parse(text))) cells[name] = value === null ? null : String(value);
    return { cells };
  } catch {
    return null;
  }
}
