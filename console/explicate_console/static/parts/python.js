// Groups, fixed parts and what a change may be, as the Python client takes them.
const literal = (value) => (value === null ? "None" : JSON.stringify(value));
const tuple = (items) => `(${items.map((item) => `${item},`).join(" ")})`;

/** A cell of protobuf's JSON as Python. */
export const cellLiteral = (cell) => ("number" in cell ? String(cell.number) : literal("category" in cell ? cell.category : null));

const PARTS = {
  name: (name) => literal(name),
  range: ({ start, end, inPair }) => `explicate.TextRange(${start}, ${end}${inPair ? ", in_pair=True" : ""})`,
  segment: (id) => `explicate.Segment(${id})`,
  box: ({ left, top, right, bottom }) => `explicate.PixelBox(${left}, ${top}, ${right}, ${bottom})`,
};

function partLiteral(part) {
  const [[kind, told]] = Object.entries(part);
  return PARTS[kind](told);
}

/** fixed=... */
export const partsLiteral = (parts) => `[${parts.map(partLiteral).join(", ")}]`;

/** groups=... */
export const groupsLiteral = (groups) => `{${groups.map(({ name, parts }) => `${literal(name)}: ${partsLiteral(parts)}`).join(", ")}}`;

function variedLiteral({ range, values }) {
  if (!range) return tuple(values.values.map(cellLiteral));
  return `explicate.ValueRange(${cellLiteral(range.low)}, ${cellLiteral(range.high)}${range.step === undefined ? "" : `, step=${range.step}`})`;
}

/** change=... */
export function changeLiteral({ classLabel, value, columns = [], absence, keepOthers, maxEvaluations }) {
  const kept = columns.filter((each) => each.kept);
  const varied = columns.filter((each) => !each.kept);
  const given = [
    classLabel !== undefined && `to=${literal(classLabel)}`, value !== undefined && `to_value=${value}`,
    kept.length && `keep=${tuple(kept.map(({ column }) => literal(column)))}`,
    varied.length && `vary={${varied.map((each) => `${literal(each.column)}: ${variedLiteral(each)}`).join(", ")}}`,
    keepOthers && "keep_others=True", absence && "absence=True", maxEvaluations !== undefined && `max_evaluations=${maxEvaluations}`,
  ].filter(Boolean);
  return given.length ? `explicate.ChangeSearch(${given.join(", ")})` : "True";
}
