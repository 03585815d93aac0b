// A row of a table from what people paste: a JSON object, or CSV with or without its heading.
const SEPARATORS = [",", ";", "\t", "|"];

/**
 * The cells of the columns, as texts, null where missing.
 * @param {string} pasted @param {{name: string}[]} columns
 * @returns {{cells: object, passedOver: string[], problem: string}} problem is "" or a sentence
 */
export function readRow(pasted, columns) {
  const text = pasted.trim();
  if (!text) return failed("There is nothing to read: paste a JSON object, or a line of CSV.");
  try {
    return /^[[{]/.test(text) ? fromJson(text, columns) : fromCsv(text, columns);
  } catch (error) {
    return failed(`This cannot be read: ${error.message}`);
  }
}

const failed = (problem) => ({ cells: {}, passedOver: [], problem });

function fromJson(text, columns) {
  const read = JSON.parse(text);
  const row = Array.isArray(read) ? read[0] : read;
  if (row === null || typeof row !== "object" || Array.isArray(row)) return failed("Give an object such as {\"column\": value}.");
  return fromPairs(Object.entries(row), columns);
}

function fromPairs(pairs, columns) {
  const names = new Set(columns.map((each) => each.name));
  const known = pairs.filter(([name]) => names.has(name));
  if (!known.length) return failed(`None of the columns is one of the model's: ${[...names].slice(0, 5).join(", ")}${names.size > 5 ? ", …" : ""}.`);
  const cells = Object.create(null);
  for (const [name, value] of known) cells[name] = value === null || value === "" ? null : String(value);
  return { cells, passedOver: pairs.filter(([name]) => !names.has(name)).map(([name]) => name), problem: "" };
}

function fromCsv(text, columns) {
  const names = columns.map((each) => each.name);
  const candidates = SEPARATORS.map((separator) => linesOf(text, separator));
  const headed = candidates.find(([heading]) => heading.some((cell) => names.includes(cell.trim())) && (heading.length > 1 || names.length === 1));
  if (headed) {
    const [heading, values] = headed;
    if (!values) return failed("There is a heading, but no row below it.");
    return fromPairs(heading.map((name, at) => [name.trim(), (values[at] ?? "").trim()]), columns);
  }
  const bare = candidates.find(([values]) => values.length === names.length);
  if (!bare) return failed(`Paste the heading with the names of the columns too, or exactly ${names.length} values in the model's order.`);
  return fromPairs(bare[0].map((value, at) => [names[at], value.trim()]), columns);
}

/** The lines of a CSV text as arrays of cells; quotes as RFC 4180 has them. */
export function linesOf(text, separator) {
  const lines = [[]];
  let cell = "";
  let quoted = false;
  const end = () => { lines.at(-1).push(cell); cell = ""; };
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (quoted && letter === '"' && text[at + 1] === '"') { cell += '"'; at += 1; }
    else if (letter === '"' && (quoted || !cell)) quoted = !quoted;
    else if (!quoted && letter === separator) end();
    else if (!quoted && letter === "\n") { end(); lines.push([]); }
    else if (quoted || letter !== "\r") cell += letter;
  }
  end();
  return lines.filter((line) => line.length > 1 || line[0].trim());
}
