// Figures of a model as tables and drawings need them: named in plain words, on scales of their own. Pure functions.

const READINGS = {
  masked_accuracy: "How often the model is right when a share of its input is removed at random. Explanations ask about inputs with holes: far below the figure with nothing removed, what they say rests on answers that the model was never trained to give.",
  additive_r2: "How much of what the model does, with any parts missing, is told by adding up the attributions. 1: the explanation is the model. Low: parts work together, and no list of one number each can say it.",
  evaluations_per_player: "Model rows that an explanation takes for each part, until its intervals are a tenth of the range. It is a price, not a quality.",
  comprehensiveness: "How far the answer falls without the parts that the explanation names first, beside as many random parts. Above chance: these parts carry the answer.",
  sufficiency: "How far the answer falls with the parts that the explanation names first alone, beside as many random parts alone. Below chance is better: they alone make the answer.",
  normalised_faithfulness: "Both of the figures before, between the least and the most that any order of removal does to this model. The ones to compare between models.",
  stability: "Whether a hardly changed input with the same answer has the same explanation. It includes the sampling error, so it cannot be 1 for long inputs.",
  effective_players: "On how many parts an explanation rests. Fewer are easier to read, not truer.",
  plausibility: "Agreement with the parts that people named. A model may be right for reasons that people do not name: this is no measure of truth.",
  randomisation: "Likeness to explanations of the same graph with random weights. High: the explanations do not depend on what was learnt.",
  contradictions: "Share of trials that break what the model claims of itself. Anything above 0: the claim is not true.",
  agreement: "Whether two methods say the same. Two methods may agree on a model that nobody should trust.",
};
const NAMES = {
  "additive_r2.median": "half of the inputs reach",
  "additive_r2.p10": "nine in ten reach",
  "additive_r2.logit_median": "half reach, in logits",
  "additive_r2.logit_p10": "nine in ten reach, in logits",
  "evaluations_per_player.median": "half take at most",
  "evaluations_per_player.p90": "nine in ten take at most",
  "evaluations_per_player.at_cap": "not done within the budget",
  "comprehensiveness": "more than chance",
  "comprehensiveness.value": "without the parts named first",
  "comprehensiveness.random": "without random parts",
  "sufficiency": "more than chance",
  "sufficiency.value": "with the parts named first alone",
  "sufficiency.random": "with random parts alone",
  "normalised_faithfulness": "comprehensiveness (1 is best)",
  "normalised_faithfulness.sufficiency": "sufficiency (0 is best)",
  "stability": "rank correlation",
  "stability.top1_kept": "the strongest part stays",
  "effective_players.median": "half rest on at most",
  "effective_players.share": "of all parts",
  "masked_accuracy": "mean of all shares removed",
  "masked_accuracy.none_removed": "nothing removed",
  "plausibility": "above chance",
  "randomisation.last_layer": "last layer random",
  "randomisation.all_weights": "all weights random",
  "contradictions": "all trials",
  "agreement": "rank correlation",
  "agreement.top3": "the three strongest shared",
};
const SHARES = ["at_cap", "share"]; // figures that are shares beside others that are not

/** A number of protojson: missing is 0, "NaN" and the like are null. */
export function numberOf(value) {
  const number = Number(value ?? 0);
  return Number.isFinite(number) ? number : null;
}

/** What a metric's figures say of explanations, for people; empty for a metric that this page does not know. */
export function readingOf(metric) {
  return READINGS[metric.id] ?? "";
}

/** A figure's name in plain words; the name itself where there are none. */
export function nameOf(name) {
  const removed = /\.removed_(\d+)$/.exec(name);
  return NAMES[name] ?? (removed ? `${removed[1]} % removed` : name);
}

/** Figures of a metric as {name, id, value, lower, upper, inputs}; ends are null where they are not known. */
export function figuresOf(metric) {
  return (metric.figures ?? []).map((figure) => ({
    name: nameOf(figure.name),
    id: figure.name,
    value: numberOf(figure.value),
    lower: figure.interval ? numberOf(figure.interval.lower) : null,
    upper: figure.interval ? numberOf(figure.interval.upper) : null,
    inputs: figure.inputs ?? 0,
  }));
}

/** Figures that share a scale, in groups: shares beside counts are drawn apart. */
export function scales(figures) {
  const isShare = ({ id }) => SHARES.includes(id.split(".").at(-1));
  const [first, second] = [figures.filter((one) => !isShare(one)), figures.filter(isShare)];
  return [first, second].filter((group) => group.length).map((group) => ({ figures: group, ...spanOf(group) }));
}

/** {from, to} of an axis that holds 0, and all figures with their ends. From 0 to 1 where that holds them. */
export function spanOf(figures) {
  const all = figures.flatMap(({ value, lower, upper }) => [value, lower, upper]).filter((one) => one !== null);
  const [least, most] = [Math.min(0, ...all), Math.max(0, ...all)];
  if (most <= 1 && most > 0.3) return { from: least < 0 ? -rounded(-least) : 0, to: 1 };
  return { from: least < 0 ? -rounded(-least) : 0, to: most > 0 ? rounded(most) : least < 0 ? 0 : 1 };
}

/** The next number up of 1, 2, 2.5, 5 times a power of ten. */
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= value * (1 - 1e-12));
  return Number((step * power).toPrecision(3));
}

/** The curve of accuracy against the share removed: points {x: 0..1, ...figure} in their order, x = 0 being nothing removed. */
export function removalCurve(figures) {
  const at = ({ id }) => (id.endsWith(".none_removed") ? 0 : Number(/\.removed_(\d+)$/.exec(id)?.[1] ?? NaN) / 100);
  const points = figures.map((figure) => ({ ...figure, x: at(figure) })).filter(({ x, value }) => Number.isFinite(x) && value !== null);
  return points.sort((a, b) => a.x - b.x);
}

const WORDS = { auroc: "AUROC", brier: "Brier score", f1: "F1", mae: "mean absolute error", rmse: "root mean squared error", r2: "R²" };
const inWords = (id) => id.split("_").map((word) => WORDS[word] ?? word).join(" ");

// The glossary's words for test metrics, of which one may be a mean over classes or over all labels.
const TERMS = { mae: "errors", rmse: "errors", majority_class_accuracy: "simplest", majority_hamming_loss: "simplest", median_mae: "simplest" };
const HELD = new Set(["accuracy", "precision", "recall", "f1", "auroc", "average_precision", "log_loss", "brier", "calibration_error", "r2", "subset_accuracy", "hamming_loss"]);

/** The glossary's term in the group "report" for a test metric; "" where it has none. */
export function termOf(id) {
  const plain = id.replace(/_(?:macro|micro)$/, "");
  return Object.hasOwn(TERMS, id) ? TERMS[id] : HELD.has(plain) ? plain : "";
}

/** Test metrics as figures, by name: those in `metrics` of a manifest with the intervals of `metricIntervals`. */
export function testFigures(bundle) {
  const intervals = bundle.metricIntervals ?? {};
  return Object.entries(bundle.metrics ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, value]) => ({
    id,
    name: inWords(id),
    term: termOf(id),
    value: numberOf(value),
    lower: intervals[id] ? numberOf(intervals[id].lower) : null,
    upper: intervals[id] ? numberOf(intervals[id].upper) : null,
  }));
}

/** A figure of at most four digits, as "0.778", "12.4", "1,234"; "–" for what is not known. */
export function written(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size > 0 && size < 0.001) return value.toExponential(1);
  return size >= 100 ? value.toFixed(1) : size >= 10 ? value.toFixed(2) : value.toFixed(3);
}

/** "0.741 to 0.812", or "not known". */
export function endsOf({ lower, upper }) {
  return lower === null || upper === null ? "not known" : `${written(lower)} to ${written(upper)}`;
}
