// Conditions as the grammar of `explicate score --explain-if` has them.

const WORDS = new Set(["and", "or", "not", "in", "is", "null", "true", "false", "p"]);

/** A column as a condition names it. */
export function columnName(name) {
  const plain = /^[A-Za-z_][A-Za-z0-9_.]*$/.test(name) && !WORDS.has(name.toLowerCase());
  return plain ? name : `\`${name.replaceAll("`", "``")}\``;
}

/** A text in quotes. */
export const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** A value as a condition has it. */
export const literal = (value) => (typeof value === "string" ? quoted(value) : String(value));

/** Both conditions; one that is there already is not said twice. */
export function both(condition, more) {
  const held = condition.trim();
  if (!held || held === more) return more;
  if (held.split(" and ").includes(more)) return held;
  return /\bor\b/i.test(held) ? `(${held}) and ${more}` : `${held} and ${more}`;
}

/** The condition of one slice of a column. */
export function sliceCondition(column, slice) {
  const name = columnName(column);
  if (slice.missing) return `${name} is null`;
  if ("value" in slice) return typeof slice.value === "boolean" ? `${name} = ${slice.value}` : `${name} = ${literal(slice.value)}`;
  return `${name} >= ${slice.low} and ${name} ${slice.last ? "<=" : "<"} ${slice.high}`;
}

const KINDS = [[/^(u?int|float|double|decimal|halffloat)/, "number"], [/^(large_)?string/, "text"], [/^bool/, "true or false"],
  [/^(date|timestamp)/, "time"]];

/** What a column of an Arrow type holds, in plain words; empty where conditions cannot compare it. */
export const kindOfType = (type) => KINDS.find(([pattern]) => pattern.test(type))?.[1] ?? "";
