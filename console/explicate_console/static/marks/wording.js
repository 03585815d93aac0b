// Sentences about an explanation that marks share; without a page. The words follow explicate/views/wording.py.
import { plainNumber } from "../format.js";

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
    said.push(fit > 0 ? `On combinations it had not seen, adding up the values tells ${Math.round(100 * fit)}% of what the model did.`
      : "On combinations it had not seen, adding up the values is no better than a constant.");
  }
  if (quality.comprehensiveness && quality.sufficiency) {
    const { comprehensiveness: without, sufficiency: alone } = quality;
    said.push(`Without the ${nouns} that raise it most the output falls by ${plainNumber(without.value, answer.decimals)} (random ones: ${plainNumber(without.random, answer.decimals)}), with them alone by ${plainNumber(alone.value, answer.decimals)} (random: ${plainNumber(alone.random, answer.decimals)}).`);
  }
  return said.filter(Boolean);
}

/** What must not be concluded from it. */
export function notToConclude(answer) {
  const unsure = answer.outputs[0]?.items.filter((item) => item.hasInterval && !item.certain && item.upper > item.lower).length ?? 0;
  return [
    "The numbers say what the model used, not what is true in the world, and not what would happen if the world changed.",
    unsure > 0 && `${unsure} of ${answer.outputs[0].items.length} intervals hold 0: of these, not even the sign is certain.`,
    "Two values whose intervals overlap have no certain order.",
  ].filter(Boolean);
}
