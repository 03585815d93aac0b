// What a comparison says in plain words: pure functions from two answers and their differences to sentences.
import { count, number, plainNumber, seconds, share, valueText } from "../format.js";
import { agreement, tally } from "./differences.js";

const MOST_CHARACTERS = 60; // of a name in a sentence; the table below has the whole of it

/** A name in a sentence, isolated, so that one that is written from right to left moves nothing else. */
function quoted(name) {
  const characters = [...name.slice(0, 4 * MOST_CHARACTERS)];
  return `“\u2068${characters.length > MOST_CHARACTERS ? `${characters.slice(0, MOST_CHARACTERS).join("")}…` : name}\u2069”`;
}

/** Which output of an answer stands for a class: its place, or the only one. */
export function outputFor(answer, label) {
  const place = answer.outputs.findIndex((output) => output.label === label && output.against === null);
  return place < 0 ? 0 : place;
}

/** What both sides answer, and how far apart their answers for one class are. */
export function predictionWords(left, right, { differs, label }) {
  if (left.prediction.value !== null && right.prediction.value !== null) return [valueWords(left.prediction, right.prediction)];
  if (differs === "classes" || differs === "contrast") return classWords(left, right);
  const decided = decisionWords(left.prediction, right.prediction);
  const [one, other] = [left, right].map((answer) => answer.prediction.scores.find((score) => score.label === label));
  if (one && other) {
    const points = 100 * (other.probability - one.probability);
    const far = Math.abs(points) < 0.05 ? "the same" : `${plainNumber(Math.abs(points), 1)} percentage points ${points > 0 ? "higher" : "lower"} in B`;
    return [decided, `The probability of ${quoted(label)} is ${share(one.probability)} in A and ${share(other.probability)} in B: ${far}.`];
  }
  return [decided];
}

function valueWords(one, other) {
  const apart = other.value - one.value;
  const far = apart === 0 ? "the same" : `${valueText(Math.abs(apart))} ${apart > 0 ? "higher" : "lower"} in B`;
  return `A answers ${valueText(one.value)}, B answers ${valueText(other.value)}: ${far}.`;
}

function classWords(left, right) {
  const scores = [left, right].map((answer) => answer.prediction.scores.find((score) => score.label === answer.outputs[0]?.label));
  if (!scores[0] || !scores[1]) return [];
  const [one, other] = scores.map((score) => `${quoted(score.label)} a probability of ${share(score.probability)}`);
  return [`The model gives ${one} (A) and ${other} (B).`];
}

function decisionWords(one, other) {
  const decided = ({ label, labels }) => (labels ? labels.map(quoted).join(", ") || "no label" : quoted(label));
  const [first, second] = [decided(one), decided(other)];
  return first === second ? `Both answer ${first}.` : `A answers ${first}, B answers ${second}.`;
}

/** How many parts differ beyond chance, and where most. */
export function differenceWords(rows, { nouns, decimals, contrast, exact }) {
  const { beyond, within, unknown, leftOnly, rightOnly } = tally(rows);
  const paired = beyond + within + unknown;
  const told = [];
  if (contrast) told.push(contrastWords(rows, contrast, { decimals, beyond, paired, nouns }));
  else if (paired && unknown < paired) {
    told.push(exact ? exactWords(beyond, paired, nouns) : chanceWords(beyond, within, nouns));
  }
  const [first] = rows;
  if (!contrast && paired && first.difference !== null && first.beyond !== false) {
    told.push(`They are farthest apart at ${pairName(first)}: ${number(first.valueLeft, decimals)} in A, ${number(first.valueRight, decimals)} in B.`);
  }
  if (unknown) told.push(`Of ${unknown} ${nouns} nobody can say whether it is chance: one side gives no interval.`);
  const alone = [[leftOnly, "A"], [rightOnly, "B"]].filter(([many]) => many).map(([many, letter]) => `${many} in ${letter} only`);
  if (alone.length) told.push(`Of the ${nouns} that have no counterpart, ${alone.join(" and ")}.`);
  return told;
}

function exactWords(beyond, paired, nouns) {
  if (!beyond) return `All ${paired} ${nouns} get the same number in A and in B.`;
  return `${beyond} of ${paired} ${nouns} get another number in B. Both sides are exact, so none of it is chance.`;
}

function chanceWords(beyond, within, nouns) {
  if (!beyond) return `None of ${within} ${nouns} differs by more than chance explains. That does not say that they are the same: more evaluations see smaller differences.`;
  return `${beyond} of ${beyond + within} ${nouns} differ by more than chance explains; ${within || "none"} may differ by chance alone.`;
}

function contrastWords(rows, contrast, { decimals, beyond, paired, nouns }) {
  const speaks = rows.find((row) => row.beyond && row.difference > 0);
  const opposes = rows.find((row) => row.beyond && row.difference < 0);
  const parts = [`${beyond} of ${paired} ${nouns} tell ${quoted(contrast.label)} from ${quoted(contrast.against)} by more than chance explains.`];
  if (speaks) parts.push(`${quoted(speaks.name)} speaks most for ${quoted(contrast.label)} (${number(speaks.difference, decimals)}).`);
  if (opposes) parts.push(`${quoted(opposes.name)} speaks most for ${quoted(contrast.against)} (${number(opposes.difference, decimals)}).`);
  return parts.join(" ");
}

/** The name of a pair, with both names where one part took the place of another. */
export const pairName = (row) => (row.changed ? `${quoted(row.name)} → ${quoted(row.nameRight)}` : quoted(row.name));

/** Whether the two sides name the same parts as the ones that weigh most, and push the same way. */
export function agreementWords(rows, { nouns }) {
  const { top, shared, both, sameSign, rank } = agreement(rows);
  if (!both || !top) return [];
  const told = [`Of the ${top} ${nouns} that weigh most in A, ${shared === top ? "all" : shared || "none"} ${shared === 1 ? "is" : "are"} among the ${top} of B; ${sameSign || "none"} of ${both} ${sameSign === 1 ? "pushes" : "push"} the same way.`];
  if (rank !== null) told.push(`The order of all is ${alike(rank)} (rank correlation ${plainNumber(rank, 2)}; 1 is the same order, 0 none in common).`);
  return told;
}

function alike(rank) {
  if (rank >= 0.9) return "almost the same";
  if (rank >= 0.6) return "much alike";
  if (rank >= 0.2) return "a little alike";
  return rank > -0.2 ? "unlike" : "rather the opposite";
}

/** What each side cost. */
export function costWords(left, right) {
  const cost = (answer) => `${count(answer.evaluations)} evaluations and ${seconds(answer.timing.totalS)} on the server`;
  return `A took ${cost(left)}, B ${cost(right)}.`;
}

/** Why two answers cannot be subtracted at all, or an empty text. */
export function unlikeWords(left, right) {
  if (left.space !== right.space) {
    return `A is told as ${left.space}, B as ${right.space}: numbers of two scales have no difference. Choose a scale under “More options”.`;
  }
  if ((left.prediction.value === null) !== (right.prediction.value === null)) return "One side answers a class, the other a number: they have no difference.";
  return "";
}

/** What the differences do not say. */
export function cautions(left, right, { differs, contrast, independent, summed, paired, exact }) {
  const told = [];
  const per = left.confidence === right.confidence && left.confidence !== null ? `${Number((100 * left.confidence).toFixed(2))}%` : null;
  if (contrast) told.push("The difference was estimated as one number from the same evaluations (a contrast), with an interval of its own; it is not the two columns subtracted.");
  else if (!exact && !independent) {
    told.push("A and B come from one sample, so their errors may go together: the half width of a difference is a + b, the most that it can be.");
  } else if (!exact && per) {
    told.push(`A and B draw their samples with two seeds, so their errors are independent: the half width of a difference is √(a² + b²), at ${per} as the two intervals.`);
  } else if (!exact) told.push("The two sides have intervals of different confidence, so whether a difference is chance is told loosely.");
  if (!exact && per && paired > 1) {
    told.push(`Each interval holds for its own part. If nothing differed at all, about ${plainNumber((1 - left.confidence) * paired, 1)} of ${paired} would still look as if they did.`);
  }
  if (!exact && summed) told.push("Where one side has several parts in place of one, their numbers and their half widths are added up.");
  if (left.masking !== right.masking) told.push(maskingWords(left, right));
  return [...told, ...CAUTIONS[differs](left, right)];
}

const maskingWords = (left, right) => `A leaves parts out by “${left.masking}”, B by “${right.masking}”: two questions, so two answers.`;

const CAUTIONS = {
  versions: () => ["A difference says that the versions weigh this input differently, not which of them is right. One input is one input: the Rows page has many."],
  classes: (left) => [left.space === "probability" ? "Probabilities sum to one: what raises one class must lower others, so opposite signs are no finding of their own." : "What raises one class may raise the other, too: choose “A rather than B” for what tells them apart."],
  contrast: () => ["A part that raises both classes alike is close to 0 here, however much it raises each."],
  methods: () => ["Two methods ask two questions: a difference that chance does not explain is one of the questions, and not an error of either."],
  inputs: () => ["What a part adds depends on all that is beside it: a part that both inputs have can get another number because of the rest."],
};
