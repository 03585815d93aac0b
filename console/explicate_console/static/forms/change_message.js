// What the search for a change may do, as a form holds it, and the message, the address and the line of Python that it becomes.
// Held in the options: change, changeTo, changeMost, changeAbsence, changeKeepOthers, and changeColumns by name, each of
// {kind: "kept"}, {kind: "range", low, high, step} or {kind: "values", values: [text], missing}.

import { isGiven } from "./cells.js";

/** The path of what a column may become. */
export const changePath = (name) => `options.change.columns[${name}]`;

/** What the columns of a model may become, as far as that is chosen: [[column, choice]]. */
export function chosenColumns(columns, { change, changeAbsence, changeColumns }) {
  if (!change || changeAbsence) return [];
  return columns.filter(({ name }) => Object.hasOwn(changeColumns ?? {}, name)).map((column) => [column, changeColumns[column.name]]);
}

/** The values of a list as cells: texts, and null for a missing one. */
const listed = ({ values = [], missing }) => [...values.filter(isGiven), ...(missing ? [null] : [])];

const PARTS = {
  kept: () => ({ kept: {} }),
  range: ({ low, high, step }, cell) => ({ range: { low: cell(low), high: cell(high), ...(isGiven(step) && { step: Number(step) }) } }),
  values: (choice, cell) => ({ values: { values: listed(choice).map(cell) } }),
};

/**
 * What ChangeOptions says besides the goal. cellMessage(column, value) makes a cell.
 * @returns {{absence?, keepOthers?, columns?, maxEvaluations?}}
 */
export function changeLimits(columns, value, cellMessage) {
  const message = {};
  if (isGiven(value.changeMost)) message.maxEvaluations = Number(value.changeMost);
  if (!columns.length) return message;
  if (value.changeAbsence) return { ...message, absence: true };
  if (value.changeKeepOthers) message.keepOthers = true;
  const chosen = chosenColumns(columns, value);
  if (chosen.length) message.columns = chosen.map(([column, choice]) => ({ column: column.name, ...PARTS[choice.kind](choice, (text) => cellMessage(column, text)) }));
  return message;
}

const WRONG = {
  kept: () => [],
  range: ({ low, high, step }) => [[".range.low", !isGiven(low) && "is empty; give the lower end"], [".range.high", !isGiven(high) && "is empty; give the upper end"],
    [".range.step", isGiven(step) && !(Number(step) > 0 && Number(step) < Infinity) && `is ${step}; it must be above 0`]],
  values: (choice) => [[".values", !listed(choice).length && "has no value; list at least one, or keep the column"]],
};

/** What is wrong with that, as violations. */
export function changeProblems(columns, value) {
  const found = chosenColumns(columns, value).flatMap(([{ name }, choice]) => WRONG[choice.kind](choice)
    .map(([below, description]) => ({ field: changePath(name) + below, description })));
  const most = value.changeMost;
  if (value.change && isGiven(most) && !(Number.isInteger(Number(most)) && Number(most) >= 1)) {
    found.push({ field: "options.change.max_evaluations", description: `is ${most}; it must be a whole number, 1 or more` });
  }
  return found.filter((each) => each.description);
}

/** Notes it in an address. */
export function setChange(query, options) {
  if (!options.change) return;
  query.set("change", "1");
  for (const [name, flag] of [["changeMost", options.changeMost], ["absence", options.changeAbsence && "1"], ["keepOthers", options.changeKeepOthers && "1"]]) if (flag) query.set(name, flag);
  for (const [name, choice] of Object.entries(options.changeColumns ?? {})) {
    if (choice.kind === "kept") query.append("keep", name);
    else query.append("vary", JSON.stringify([name, choice.kind, ...(choice.kind === "range" ? [choice.low, choice.high, choice.step].map((text) => text ?? "") : listed(choice))]));
  }
}

function choiceOf(text) {
  try {
    const [name, kind, ...told] = JSON.parse(text);
    if (typeof name !== "string" || !told.every((each) => each === null || typeof each === "string")) return null;
    if (kind === "range") return [name, { kind, low: told[0] ?? "", high: told[1] ?? "", step: told[2] ?? "" }];
    return kind === "values" ? [name, { kind, values: told.filter((each) => each !== null), missing: told.includes(null) }] : null;
  } catch {
    return null;
  }
}

/** What an address says of it, for the options. Nothing in it is trusted. */
export function changeOf(query) {
  if (!query.get("change")) return {};
  const columns = [...query.getAll("keep").map((name) => [name, { kind: "kept" }]), ...query.getAll("vary").map(choiceOf).filter(Boolean)];
  return {
    change: true, changeMost: query.get("changeMost") ?? "", changeAbsence: query.get("absence") === "1", changeKeepOthers: query.get("keepOthers") === "1",
    changeColumns: Object.assign(Object.create(null), Object.fromEntries(columns)),
  };
}
