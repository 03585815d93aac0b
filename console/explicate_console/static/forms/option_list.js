// The options of an explanation as a form holds them (texts as typed, "" for the default) and the message they become.
import { baselineMessage, baselineProblems } from "./baseline.js";
import { cellMessage, isGiven } from "./cells.js";
import { changeLimits, changeProblems } from "./change_message.js";
import { classesOf, columnsOf, defaultsOf, isRegression, kindOf, limitOf } from "./model_info.js";
import { playerProblems, playersMessage } from "../parts/players.js";

const CHOICES = {
  GRANULARITY_WORD: "each word", GRANULARITY_TOKEN: "each token of the model", GRANULARITY_SENTENCE: "each sentence",
  GRANULARITY_SLIC: "segments of like colour, about the same size (slic)", GRANULARITY_QUICKSHIFT: "segments of like colour, any size (quickshift)",
  GRANULARITY_GRID: "rectangles of a grid", GRANULARITY_PATCH: "the patches that the model reads",
  MASKING_ATTENTION: "it gets no attention", MASKING_MASK_TOKEN: "the model's mask token stands there", MASKING_DELETE: "it leaves the text",
  MASKING_BACKGROUND: "values of typical rows, averaged", MASKING_DRAWN: "values drawn from the training data's statistics",
  MASKING_MEAN: "its mean colour", MASKING_BLUR: "a blur of the picture", MASKING_GREY: "mid-grey", MASKING_REFERENCE: "the reference",
  OUTPUT_SPACE_PROBABILITY: "probability", OUTPUT_SPACE_LOGIT: "logit (before softmax)", OUTPUT_SPACE_VALUE: "the value, in its unit",
  QUALITY_LEVEL_BASIC: "what is known anyway", QUALITY_LEVEL_FULL: "also what leaving out the top parts does",
};

/** A value of one of the contract's enums in words. */
export const choiceName = (value) => CHOICES[value] ?? String(value).toLowerCase().replaceAll("_", " ");

const whole = (low, high) => ({ low, high, whole: true });
const SHAP = ["kernel-shap", "permutation-shap"];

/** The options that are a number: key, path in the contract, name, what it means with its unit, range(info), and whether they fit. */
export const NUMBERS = [
  { key: "maxEvaluations", path: "max_evaluations", name: "Evaluations at most", meaning: "rows through the model", range: (info) => whole(4, limitOf(info, "maxEvaluations")), grows: true },
  { key: "minEvaluations", path: "min_evaluations", name: "Evaluations at least", meaning: "rows before the tolerance may stop the work", range: (info) => whole(1, limitOf(info, "maxEvaluations")), grows: true },
  { key: "tolerance", path: "tolerance", name: "Tolerance", meaning: "stop once the widest interval is below this share of the range; 0 never stops early", range: () => ({ low: 0, high: 1 }) },
  { key: "confidence", path: "confidence", name: "Confidence", meaning: "how often an interval holds the true number", range: () => ({ low: 0.5, high: 0.999 }) },
  { key: "timeLimitSeconds", path: "time_limit_seconds", name: "Time limit", meaning: "seconds; then the best answer so far is given", range: (info) => ({ above: 0, high: limitOf(info, "maxCallSeconds") }) },
  { key: "seed", path: "seed", name: "Seed", meaning: "of all random choices; the same seed gives the same answer", range: () => whole(0, 4294967295) },
  { key: "topK", path: "top_k", name: "Stop for the top", meaning: "stop once it is certain which so many parts weigh most", range: () => whole(1, 2147483647), none: "never" },
  { key: "interactions", path: "interactions", name: "Interactions", meaning: "tell so many of the strongest pairs", range: () => whole(1, 100), none: "none" },
  { key: "segments", path: "segments", name: "Segments", meaning: "about how many parts the picture is cut into (slic, grid)", range: () => whole(2, 1024), fits: (info) => kindOf(info) === "image" },
  { key: "maxPlayers", path: "max_players", name: "Parts at most", meaning: "a longer text is grouped into phrases first", range: () => whole(2, 1024), grows: true, fits: (info, method) => ["text", "pair"].includes(kindOf(info)) && (method === "auto" || SHAP.includes(method)) },
];

/** The options that are a choice of the contract's values. */
export const LISTS = [
  { key: "outputSpace", path: "output_space", name: "Scale", values: (info) => (isRegression(info) ? [] : ["OUTPUT_SPACE_PROBABILITY", "OUTPUT_SPACE_LOGIT"]) },
  { key: "granularity", path: "granularity", name: "What gets a number", values: (info) => info.granularities ?? [] },
  { key: "masking", path: "masking", name: "What is left out is replaced by", values: (info) => info.maskings ?? [] },
  { key: "quality", path: "quality", name: "Quality figures", values: () => ["QUALITY_LEVEL_BASIC", "QUALITY_LEVEL_FULL"] },
];

export const LANGUAGES = { en: "English", de: "German" };

/** What a form of options holds at first: the server's defaults of everything. */
export const emptyOptions = () => ({ method: "auto", target: "predicted" });

const plain = (value) => value.toLocaleString("en", { maximumFractionDigits: 4 });

/** "4 to 16,384" of a range. */
export function rangeText({ low, above, high }) {
  if (above !== undefined) return high < Infinity ? `above ${above}, at most ${plain(high)}` : `above ${above}`;
  return high >= 2147483647 ? `from ${low}` : `${plain(low)} to ${plain(high)}`;
}

/** The default of a number for a method, in words. */
export function defaultText(option, info, method) {
  const value = defaultsOf(info, method)[option.key];
  if (method === "auto" && value !== defaultsOf(info, "exact-shap")[option.key]) return "by the method";
  if (value !== undefined) return plain(Number(value));
  return option.none ?? (option.grows ? "by the input" : "the server's");
}

function numberProblem({ range }, text, info) {
  const limits = range(info);
  const value = Number(text);
  if (!Number.isFinite(value)) return `is ${JSON.stringify(text)}; it must be a number`;
  if (limits.whole && !Number.isInteger(value)) return `is ${text}; it must be a whole number`;
  if (limits.above !== undefined ? value <= limits.above || value > limits.high : value < limits.low || value > limits.high) {
    return limits.above === undefined ? `is ${text}; it must be between ${plain(limits.low)} and ${plain(limits.high)}` : `is ${text}; it must be ${rangeText(limits)}`;
  }
  return "";
}

/** The numbers that fit a model and a method. */
export const numbersOf = (info, method) => NUMBERS.filter((each) => !each.fits || each.fits(info, method));

/** What is wrong with the options before they are sent, as violations. */
export function optionProblems(info, value) {
  const found = numbersOf(info, value.method).filter((each) => isGiven(value[each.key]))
    .map((each) => ({ field: `options.${each.path}`, description: numberProblem(each, String(value[each.key]).trim(), info) }));
  const [label, against] = chosenClasses(info, value);
  if (value.target === "contrast" && label !== undefined && label === against) {
    found.push({ field: "options.target.contrast.reference", description: "is the target itself; name another class" });
  }
  if (value.change && isRegression(info) && !isGiven(value.changeTo)) {
    found.push({ field: "options.change.value", description: "is left out; give the value that the answer is to reach or fall below" });
  }
  if (value.change && isRegression(info) && isGiven(value.changeTo) && !Number.isFinite(Number(value.changeTo))) {
    found.push({ field: "options.change.value", description: `is ${JSON.stringify(value.changeTo)}; it must be a number` });
  }
  found.push(...baselineProblems(modelOf(info), value), ...changeProblems(columnsOf(info), value), ...rowProblems(info, value));
  return found.filter((each) => each.description);
}

const isRow = (info) => kindOf(info) === "row";
const rowProblems = (info, { players }) => (isRow(info) ? playerProblems(info, players) : []);

/** The class that is explained and the one it is set against, as the form shows them: [label, label]. */
export function chosenClasses(info, { targetClass, againstClass }) {
  const labels = classesOf(info);
  const first = labels.includes(targetClass) ? targetClass : labels[0];
  return [first, labels.includes(againstClass) ? againstClass : labels.find((each) => each !== first)];
}

function targetMessage(info, value) {
  if (!classesOf(info).length || !value.target || value.target === "predicted") return undefined;
  if (value.target === "all") return { all: {} };
  const [label, against] = chosenClasses(info, value);
  if (value.target === "class") return { label };
  return { contrast: { target: { label }, reference: { label: against } } };
}

function changeMessage(info, value) {
  const message = changeLimits(columnsOf(info), value, cellMessage);
  if (isRegression(info)) message.value = Number(value.changeTo);
  else if (isGiven(value.changeTo) && classesOf(info).includes(value.changeTo)) message.classLabel = value.changeTo;
  return message;
}

/** A model as baseline.js takes it. */
const modelOf = (info) => ({ kind: kindOf(info), columns: columnsOf(info) });

/** The ExplainOptions message of what the form holds; what is left to its default is left out. */
export function optionsMessage(info, value) {
  const message = {};
  if (value.method && value.method !== "auto") message.method = value.method;
  const fields = { target: targetMessage(info, value), baseline: baselineMessage(modelOf(info), value), change: value.change ? changeMessage(info, value) : undefined };
  for (const [name, field] of Object.entries(fields)) if (field !== undefined) message[name] = field;
  for (const each of numbersOf(info, value.method)) if (isGiven(value[each.key])) message[each.key] = Number(value[each.key]);
  for (const each of LISTS) if (isGiven(value[each.key]) && each.values(info).includes(value[each.key])) message[each.key] = value[each.key];
  if (isGiven(value.language)) message.language = value.language;
  return isRow(info) ? { ...message, ...playersMessage(info, value.players) } : message;
}
