// Sentences about an explanation that marks share; without a page. The words follow explicate/views/wording.py.
import { cell, count, decimalsFor, plainNumber } from "../format.js";

const STOPPED = {
  tolerance: "It stopped because the intervals are narrow enough.",
  budget: "It stopped because its evaluations were used up.",
  deadline: "It stopped because time was up: this is the best answer so far.",
  exact: "Every combination was evaluated: the values are exact.",
  complete: "It stopped because all rows of its sample were evaluated.",
  running: "It is still running.",
};

/** Why the work stopped. */
export function stopReason(answer) {
  if (answer.preview) return "A preview: guessed before anything was measured, without intervals.";
  if (answer.stopReason === "top-k") return `It stopped because it is certain which ${answer.topK} ${answer.nouns} weigh most.`;
  return STOPPED[answer.stopReason] ?? (answer.stopReason ? `It stopped: ${answer.stopReason}.` : "");
}

/** How sure an explanation is, a sentence each. */
export function howSure(answer) {
  const { quality, noun, nouns } = answer;
  const said = [stopReason(answer)];
  if (answer.stopReason !== "exact") {
    if (quality.largestIntervalRatio !== null) {
      const ratio = quality.largestIntervalRatio;
      said.push(`The widest interval is ${ratio < 0.01 ? "less than ± 1%" : `± ${Math.round(100 * ratio)}%`} of the range of the values.`);
    }
    if (quality.certainTopK !== null) {
      said.push(quality.certainTopK === 0 ? `It is not certain which ${noun} is the strongest.`
        : quality.certainTopK === 1 ? `The strongest ${noun} is certain.` : `The strongest ${quality.certainTopK} ${nouns} are certain.`);
    }
    if (answer.confidence !== null && answer.outputs.some(({ items }) => items.some((item) => item.hasInterval))) {
      said.push(`Each interval holds the value in ${plainNumber(100 * answer.confidence, 0)} of 100 such explanations; all of them at once less often.`);
    }
  }
  if (quality.heldOutRSquared !== null) {
    const fit = quality.heldOutRSquared;
    const told = fit < 1 && fit >= 0.995 ? "more than 99" : Math.round(100 * fit);
    said.push(fit > 0 ? `On combinations it had not seen, adding up the values tells ${told}% of what the model did.`
      : "On combinations it had not seen, adding up the values is no better than a constant.");
  }
  if (quality.comprehensiveness && quality.sufficiency) {
    const { comprehensiveness: without, sufficiency: alone } = quality;
    said.push(`Without the ${nouns} that raise it most the output falls by ${plainNumber(without.value, answer.decimals)} (random ones: ${plainNumber(without.random, answer.decimals)}), with them alone by ${plainNumber(alone.value, answer.decimals)} (random: ${plainNumber(alone.random, answer.decimals)}).`);
  }
  return said.filter(Boolean);
}

const SCALES = { probability: "the probability of", logit: "the logit of", value: "the value of" };

const STARTS = { text: "the text without its words", pair: "the texts without their words", row: "typical rows", image: "the image with all its parts hidden" };

const FIXED_STARTS = { text: "the text with nothing but what is always there", pair: "the texts with nothing but what is always there",
  row: "typical rows with what is always there of this one", image: "the image with nothing but what is always there" };

/** What the values lead from, in words. */
function startOf({ baselineNote, fixed, kind }) {
  if (!fixed.length) return baselineNote || STARTS[kind];
  return baselineNote ? `${baselineNote}, with what is always there` : FIXED_STARTS[kind];
}

/** Whether the method promises that the values sum to the output minus the baseline. */
export const addsUp = ({ method }) => !["lime", "lime-stratified", "occlusion"].includes(method);

/** What the numbers are, in a sentence or two. */
export function whatItIs(answer) {
  const [output] = answer.outputs;
  if (!output) return "";
  const of = `${SCALES[answer.space] ?? "the output"} “${output.name}”`;
  const each = answer.outputs.length > 1 ? "each output, such as " : "";
  const start = startOf(answer);
  const sum = !addsUp(answer) ? "" : ` All of them lead from the output for ${start} to the output as it is.`;
  return `Each number is what a ${answer.noun} adds to ${each}${of}: with + it raises it, with − it lowers it.${sum}`;
}

/** The names in the glossary's group "not" that hold for an answer, each with words of our own where it is not at hand. */
function warnings(answer) {
  const items = answer.outputs.flatMap((output) => output.items);
  const wide = items.filter((item) => item.hasInterval && item.upper > item.lower);
  return [
    ["cause", "The numbers say what the model used, not what would happen in the world if it were different."],
    ["truth", "An explanation does not say that the answer is right."],
    wide.some((item) => !item.certain) && ["sign", "Where an interval holds 0 it is not certain what raises and what lowers."],
    wide.length > 1 && ["order", "Two values whose intervals overlap have no certain order."],
    ["absent", `They hold for what stands in for a ${answer.noun} that is left out.`],
    answer.kind === "row" && ["fairness", "A small value does not say that the model treats people alike."],
  ].filter(Boolean);
}

/** What must not be concluded from it; `term` is the glossary's. */
export function notToConclude(answer, term = () => undefined) {
  const items = answer.outputs[0]?.items ?? [];
  const unsure = items.filter((item) => item.hasInterval && !item.certain && item.upper > item.lower).length;
  const said = warnings(answer).map(([name, own]) => term("not", name)?.says ?? own);
  if (unsure) said.unshift(`${unsure === 1 ? "One interval" : `${unsure} of the ${items.length} intervals`} here ${unsure === 1 ? "holds" : "hold"} 0.`);
  if (items.length && !items.some((item) => item.hasInterval)) said.unshift("There are no intervals here: how sure the numbers are is not known.");
  return said;
}

const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0] ?? "");
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** The answer that a change speaks of, in short: "good 0.912", "without toxic 0.312", or "price 153.2". */
function decided(answer, told) {
  const { value } = answer.prediction;
  if (value !== null) return `${told.label} ${plainNumber(told.score, decimalsFor(Math.max(Math.abs(told.score), Math.abs(value)), 4))}`;
  return `${told.given ? "" : "without "}${told.label} ${plainNumber(told.score, 3)}`;
}

/** What would change the answer, or that nothing was found. */
export function changeFound(answer) {
  const { change } = answer;
  const before = decided(answer, change.before);
  if (!change.after) return `No change was found that would make the answer another than ${before}.`;
  if (!change.absent.length && !change.columns.length) return `Nothing has to change: the answer is ${before}.`;
  const columns = change.columns.map((each) => `${each.column} ${cell(each.after)} (not ${cell(each.before)})`);
  const names = change.absent.map((place) => answer.parts.features[place]?.name ?? "");
  const quoted = answer.kind === "text" || answer.kind === "pair" ? names.map((name) => `“${name}”`) : names;
  const what = columns.length ? `With ${columns.join(", ")}` : `Without ${listed(quoted)}`;
  return `${what} the answer would be ${decided(answer, change.after)}; it is ${before}.`;
}

/** How far the search for it went: never more than was tried. */
export function changeSearched(answer) {
  const { change } = answer;
  const values = answer.kind === "row" && !change.absent.length && !answer.options.change?.absence;
  const parts = values ? "columns" : answer.nouns;
  const tried = `${count(change.evaluations)} ${change.evaluations === 1 ? "change was" : "changes were"} tried${change.end === "deadline" ? " until time was over" : ""}`;
  if (!change.after) {
    if (change.noneSmaller) return `Every change there is was tried, ${count(change.evaluations)}: none gives another answer.`;
    const whole = change.sizesTried ? `, every one of up to ${change.sizesTried} ${parts} among them` : "";
    return `${sentence(tried + whole)} There may be one that was not tried.`;
  }
  const size = change.absent.length + change.columns.length;
  const said = [tried];
  if (change.columns.length) said.unshift(change.noneNearer ? "none of as many is nearer" : "no nearer one was found");
  if (size > 1) said.unshift(change.noneSmaller ? `no change of fewer ${parts} does that` : `none of fewer ${parts} was found`);
  return size ? sentence(said.join("; ")) : "";
}
