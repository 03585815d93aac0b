// A question as others can ask it: by curl, and by the Python client.
import { kindOf } from "/static/forms/model_info.js";
import { cellLiteral, changeLiteral, groupsLiteral, partsLiteral } from "/static/parts/python.js";

const IMAGE_MARK = "@@image@@";
const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The call as a line of curl. @param {{asked: object, address: string, hasToken: boolean}} question */
export function asCurl({ asked, address, hasToken }) {
  const image = asked.spec.input.image;
  const spec = image ? { ...asked.spec, input: { image: { content: IMAGE_MARK } } } : asked.spec;
  const head = [`curl ${shellQuoted(`${address}/explicate.v1.InferenceService/Explain`)}`, "-H 'content-type: application/json'"];
  if (hasToken) head.push('-H "authorization: Bearer $EXPLICATE_TOKEN"');
  const body = JSON.stringify({ spec });
  if (!image) return [...head, `-d ${shellQuoted(body)}`].join(" \\\n  ");
  const [before, after] = body.split(IMAGE_MARK);
  const file = shellQuoted(asked.input.image.name);
  return `{ printf %s ${shellQuoted(before)}; base64 -w0 ${file}; printf %s ${shellQuoted(after)}; } |\n  ${[...head, "-d @-"].join(" \\\n  ")}`;
}

const literal = (value) => (value === null ? "None" : value === true ? "True" : value === false ? "False" : JSON.stringify(value));
const named = (value, prefix) => literal(value.slice(prefix.length).toLowerCase().replaceAll("_", "-"));

function inputLiteral(asked) {
  const { text, tabular } = asked.spec.input;
  if (text) return text.textPair === undefined ? literal(text.text) : `(${literal(text.text)}, ${literal(text.textPair)})`;
  if (tabular) return `{${Object.entries(tabular.cells).map(([name, cell]) => `${literal(name)}: ${cellLiteral(cell)}`).join(", ")}}`;
  return `explicate.Image.open(${literal(asked.input.image.name)})`;
}

function targetLiteral(target) {
  if (target.all) return "explicate.ALL";
  if (target.contrast) return `explicate.Contrast(${literal(target.contrast.target.label)}, ${literal(target.contrast.reference.label)})`;
  return literal(target.label);
}

function baselineLiteral(baseline, asked) {
  if (!baseline.text) return literal(baseline.name ?? baseline.colour);
  return kindOf(asked.info) === "pair" ? `(${literal(baseline.text.text)}, ${literal(baseline.text.textPair)})` : literal(baseline.text.text);
}

const PYTHON = {
  method: (value) => ["method", literal(value)],
  target: (value) => ["target", targetLiteral(value)],
  change: (value) => ["change", changeLiteral(value)],
  groups: (value) => ["groups", groupsLiteral(value)],
  fixed: (value) => ["fixed", partsLiteral(value)],
  baseline: (value, asked) => ["baseline", baselineLiteral(value, asked)],
  outputSpace: (value) => ["output_space", named(value, "OUTPUT_SPACE_")],
  granularity: (value) => ["granularity", named(value, "GRANULARITY_")],
  masking: (value) => ["masking", named(value, "MASKING_")],
  quality: (value) => ["quality", named(value, "QUALITY_LEVEL_")],
  timeLimitSeconds: (value) => ["time_limit_s", value],
};
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The call as a few lines of Python. */
export function asPython({ asked, hasToken }) {
  const { model, version, label } = asked.spec.model;
  const keywords = [["model", literal(model)]];
  if (version) keywords.push(["version", version]);
  if (label) keywords.push(["label", literal(label)]);
  for (const [name, value] of Object.entries(asked.spec.options)) keywords.push(PYTHON[name]?.(value, asked) ?? [snake(name), literal(value)]);
  const given = keywords.map(([name, value]) => `${name}=${value}`).join(", ");
  const token = hasToken ? ", token=os.environ[\"EXPLICATE_TOKEN\"]" : "";
  return `${hasToken ? "import os\n\n" : ""}import explicate

# the address that the console was given by --server
with explicate.Client("127.0.0.1:8500"${token}) as client:
    client = client.with_options(${given})
    print(client.explain(${inputLiteral(asked)}))
`;
}
