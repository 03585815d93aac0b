// What is asked for a comparison: the specs of both sides, and of the contrast where one class is set against another.
import { classesOf, isRegression, modelRef } from "/static/forms/model_info.js";
import { inputMessage, inputPlayers, inputProblems } from "/static/forms/input_form.js";
import { optionProblems, optionsMessage } from "/static/forms/option_list.js";

const MOST_CLASSES = 20; // that are all explained at once; of more only what A predicts
const SEEDS = 2 ** 32;

/** What is wrong with the two sides before they are asked, as violations. */
export function problemsOf(form, info) {
  const shared = [...inputProblems(info, form.input), ...optionProblems(info, { ...form.options, target: "predicted", change: false })];
  const own = form.differs === "inputs" ? inputProblems(info, form.inputRight) : [];
  return { left: shared, right: own };
}

/** Why a comparison of this kind is not to be had of a model, or an empty text. */
export function unfit(differs, info) {
  if (differs !== "classes" && differs !== "contrast") return "";
  if (isRegression(info)) return "This model answers a number: it has no classes to compare.";
  return classesOf(info).length < 2 ? "This model has fewer than two classes." : "";
}

/**
 * The comparison as it is asked: {differs, sides: [{letter, title, spec, input}], contrast: spec or null, sameInput, independent, predictFirst}.
 * The sides draw with two seeds, so that the errors of their estimates are independent; beside a contrast, which tells the
 * difference itself, with one, so that they are of the sample that it is of.
 */
export function planOf(form, info) {
  const input = inputMessage(info, form.input);
  const inputs = [input, form.differs === "inputs" ? inputMessage(info, form.inputRight) : input];
  const base = baseOptions(form, info);
  const few = classesOf(info).length <= MOST_CLASSES;
  const target = few && classesOf(info).length > 1 ? { all: {} } : undefined;
  const independent = form.differs !== "contrast";
  const sides = SIDES[form.differs](form).map(({ title, choice, options }, side) => ({
    letter: "AB"[side], title, input: inputs[side],
    spec: { model: modelRef(choice), input: inputs[side], options: { ...base, ...(target && { target }), ...options, ...inputPlayers(info, side && form.differs === "inputs" ? form.inputRight : form.input), seed: (base.seed + (independent ? side : 0)) % SEEDS } },
  }));
  return { differs: form.differs, sides, contrast: form.differs === "contrast" ? contrastOf(form, sides[0].spec) : null,
    sameInput: form.differs !== "inputs", independent, predictFirst: !few && !sides[0].spec.options.target };
}

function baseOptions({ differs, options }, info) {
  const base = optionsMessage(info, { ...options, target: "predicted", change: false });
  if (differs === "methods") delete base.method;
  if (differs === "contrast") base.outputSpace ??= "OUTPUT_SPACE_LOGIT";
  return { ...base, seed: base.seed ?? 0 };
}

const choiceTitle = ({ model, version, label }) => `${model}, ${version ? `version ${version}` : label ?? "live"}`;
const ofClass = (form) => form.classes.map((label) => ({ title: label, choice: form.left, options: { target: { label } } }));

const SIDES = {
  versions: (form) => [form.left, form.right].map((choice) => ({ title: choiceTitle(choice), choice, options: {} })),
  classes: ofClass,
  contrast: ofClass,
  methods: (form) => form.methods.map((method) => ({ title: method, choice: form.left, options: method === "auto" ? {} : { method } })),
  inputs: (form) => ["first input", "second input"].map((title) => ({ title, choice: form.left, options: {} })),
};

function contrastOf({ classes: [label, against] }, spec) {
  return { ...spec, options: { ...spec.options, target: { contrast: { target: { label }, reference: { label: against } } } } };
}
