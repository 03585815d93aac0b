// A question as others can ask it: by curl, and by the Python client.
import { cellLiteral, changeLiteral, groupsLiteral, partsLiteral } from "../parts/python.js";

const IMAGE_MARK = /@@image(\d)@@/;
const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The spec with a mark in the place of the bytes of each picture, and the pictures' names by mark. */
function withoutBytes({ spec, input, options }) {
  const names = [];
  const marked = (name) => ({ content: `@@image${names.push(name) - 1}@@` });
  const short = { ...spec };
  if (spec.input.image) short.input = { image: marked(input.image.name) };
  if (spec.options?.baseline?.image) short.options = { ...spec.options, baseline: { image: marked(options.baselineImage.name) } };
  return { short, names };
}

/** The call as a line of curl. @param {{asked: object, address: string, hasToken: boolean}} question */
export function asCurl({ asked, address, hasToken }) {
  const { short, names } = withoutBytes(asked);
  const head = [`curl ${shellQuoted(`${address}/explicate.v1.InferenceService/Explain`)}`, "-H 'content-type: application/json'"];
  if (hasToken) head.push('-H "authorization: Bearer $EXPLICATE_TOKEN"');
  const body = JSON.stringify({ spec: short });
  if (!names.length) return [...head, `-d ${shellQuoted(body)}`].join(" \\\n  ");
  const pieces = body.split(IMAGE_MARK).map((piece, at) => (at % 2 ? `base64 -w0 ${shellQuoted(names[piece] ?? "")}` : `printf %s ${shellQuoted(piece)}`));
  return `{ ${pieces.join("; ")}; } |\n  ${[...head, "-d @-"].join(" \\\n  ")}`;
}

const literal = (value) => (value === null ? "None" : value === true ? "True" : value === false ? "False" : JSON.stringify(value));
const named = (value, prefix) => literal(value.slice(prefix.length).toLowerCase().replaceAll("_", "-"));

const rowLiteral = ({ cells }) => `{${Object.entries(cells).map(([name, cell]) => `${literal(name)}: ${cellLiteral(cell)}`).join(", ")}}`;
const imageLiteral = ({ name }) => `explicate.Image.open(${literal(name)})`;

function inputLiteral(asked) {
  const { text, tabular } = asked.spec.input;
  if (text) return text.textPair === undefined ? literal(text.text) : `(${literal(text.text)}, ${literal(text.textPair)})`;
  return tabular ? rowLiteral(tabular) : imageLiteral(asked.input.image);
}

function targetLiteral(target) {
  if (target.all) return "explicate.ALL";
  if (target.contrast) return `explicate.Contrast(${literal(target.contrast.target.label)}, ${literal(target.contrast.reference.label)})`;
  return literal(target.label);
}

function baselineLiteral({ text, tabular, image, name, colour }, asked) {
  if (tabular) return rowLiteral(tabular);
  if (image) return imageLiteral(asked.options.baselineImage);
  if (!text) return literal(name ?? colour);
  return text.textPair === undefined ? literal(text.text) : `(${literal(text.text)}, ${literal(text.textPair)})`;
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
