// What a record of the log says, in plain words.
import { count, plainNumber } from "/static/format.js";

/** Who called: a token by its name, or an address. */
export function callerWords(caller) {
  if (!caller) return "somebody whom the log does not name";
  if (caller.startsWith("token:")) return `the token “${caller.slice("token:".length)}”`;
  return caller.replace(/^ipv[46]:/, "");
}

/** What a target of the log asks for. */
export function targetWords(target) {
  if (!target) return "the answer that the model gave";
  if (target.all) return "every class";
  if (target.contrast) return `${said(target.contrast.target)} rather than ${said(target.contrast.reference)}`;
  return said(target.class);
}

const said = (name) => (typeof name === "number" ? `class ${name}` : `“${name}”`);

/**
 * The options worth a line each, as [name, words, the glossary's group and term]; what was left to the server is among them as
 * it was resolved.
 */
export function optionWords(options) {
  const told = [
    ["Explained", targetWords(options.target)],
    ["Method", options.method, ["method", options.method]],
    ["In units of", options.output_space, ["scale", options.output_space]],
    ["Parts", options.granularity, ["figure", "part"]],
    ["Left out by", options.masking, ["masking", options.masking]],
    ["Evaluations at most", Number.isFinite(options.max_evaluations) ? count(options.max_evaluations) : "", ["sure", "evaluation"]],
    ["Intervals", Number.isFinite(options.confidence) ? `at ${plainNumber(100 * options.confidence, 0)}% confidence` : "", ["sure", "interval"]],
    ["Seed", Number.isFinite(options.seed) ? String(options.seed) : "", ["sure", "seed"]],
  ];
  return told.filter(([, words]) => words);
}

const VERDICTS = {
  same: ["good", "The same, bit for bit", "The server gave every attribution again exactly as the log has it."],
  close: ["good", "The same but for rounding", "The largest difference is far smaller than any figure shown here: inputs that share a batch change each other's last bits."],
  different: ["bad", "Different", "The server does not give what the log records."],
  cut: ["quiet", "Cannot be repeated", "The clock ended one of the two, and chose how many evaluations there were."],
  gone: ["bad", "Cannot be asked", "The server does not serve this version any more."],
  unknown: ["quiet", "Cannot be compared", "What was given is not what was explained then."],
};

/** {mood: "good" | "bad" | "quiet", title, words} of a verdict. */
export function verdictWords({ verdict }) {
  const [mood, title, words] = VERDICTS[verdict] ?? ["quiet", verdict, ""];
  return { mood, title, words };
}
