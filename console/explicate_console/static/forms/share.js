// The form as an address, and back: the model and the options always, the input only when asked.
import { count } from "/static/format.js";
import { changeOf, setChange } from "/static/forms/change_message.js";
import { MOST_INPUT_CHARACTERS, optionsOf, putOptions, rowOf } from "/static/forms/option_address.js";
import { emptyOptions } from "/static/forms/option_list.js";
import { playersOf, setPlayers } from "/static/parts/players.js";

/**
 * The address of what the forms hold.
 * @returns {{hash: string, problem: string}} problem says why the input or another row was left out, or is ""
 */
export function toHash({ page = "try", choice, options, input }, withInput = false) {
  const query = new URLSearchParams({ model: choice.model });
  if (choice.version) query.set("version", choice.version);
  if (choice.label) query.set("label", choice.label);
  setTarget(query, options);
  setChange(query, options);
  const ofOptions = putOptions(query, options, withInput);
  const ofInput = withInput ? setInput(query, input) : "";
  return { hash: `#/${page}?${query}`, problem: [ofInput, ofOptions].filter(Boolean).join(" ") };
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
  const options = { ...emptyOptions(), ...optionsOf(query), ...changeOf(query) };
  const target = query.get("target");
  if (["class", "all", "contrast"].includes(target)) Object.assign(options, { target, targetClass: query.get("class") ?? "", againstClass: query.get("against") ?? "" });
  return { choice, options, input: inputOf(query) };
}

function inputOf(query) {
  if (query.has("row")) return rowOf(query.get("row"));
  return query.has("text") ? { text: query.get("text"), textPair: query.get("pair") ?? "", players: playersOf(query, "range") } : null;
}
