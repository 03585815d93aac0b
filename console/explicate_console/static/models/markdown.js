// Markdown of a model card as plain objects, which card.js makes elements of. Raw HTML is text like any other.
// Blocks: {kind: "heading", level, parts, id}, {kind: "paragraph", parts}, {kind: "code", text}, {kind: "rule"},
// {kind: "quote", blocks}, {kind: "list", ordered, items: [blocks]}, {kind: "table", head, rows, right: [bool]}.
// Parts: a string, or {kind: "code" | "strong" | "em" | "link" | "picture", text | parts, address}.

const MOST_DEPTH = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?[ \t]*#*[ \t]*$/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:[ \t]+(.*))?$/;
const TABLE_LINE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** The blocks of a text. */
export function readMarkdown(text) {
  return blocksOf(String(text ?? "").replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocksOf(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) { at += 1; continue; }
    const [block, next] = blockAt(lines, at, depth);
    blocks.push(block);
    at = Math.max(next, at + 1);
  }
  return blocks;
}

function blockAt(lines, at, depth) {
  const line = lines[at];
  const heading = HEADING.exec(line);
  if (heading) return [{ kind: "heading", level: heading[1].length, parts: partsOf(heading[2] ?? ""), id: slug(heading[2] ?? "") }, at + 1];
  if (FENCE.test(line)) return fenced(lines, at);
  if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
  if (/^ {0,3}>/.test(line) && depth < MOST_DEPTH) return quoted(lines, at, depth);
  if (ITEM.test(line) && depth < MOST_DEPTH) return listed(lines, at, depth);
  if (line.includes("|") && TABLE_LINE.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) return tabled(lines, at);
  return paragraph(lines, at);
}

function fenced(lines, at) {
  const fence = FENCE.exec(lines[at])[1];
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(fence)) end += 1;
  return [{ kind: "code", text: lines.slice(at + 1, end).join("\n") }, end + 1];
}

function quoted(lines, at, depth) {
  let end = at;
  while (end < lines.length && /^ {0,3}>/.test(lines[end])) end += 1;
  return [{ kind: "quote", blocks: blocksOf(lines.slice(at, end).map((line) => line.replace(/^ {0,3}> ?/, "")), depth + 1) }, end];
}

function listed(lines, at, depth) {
  const [, indent, marker] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(marker);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const found = ITEM.exec(lines[end]);
    if (found && found[1].length === indent.length && /\d/.test(found[2]) === ordered) items.push([found[3] ?? ""]);
    else if (lines[end].trim() && indentOf(lines[end]) > indent.length) items.at(-1).push(lines[end]);
    else if (!lines[end].trim() && indentOf(lines[end + 1] ?? "") > indent.length) items.at(-1).push("");
    else break;
    end += 1;
  }
  return [{ kind: "list", ordered, items: items.map((item) => blocksOf(dedented(item), depth + 1)) }, end];
}

const indentOf = (line) => line.length - line.trimStart().length;

function dedented([first, ...rest]) {
  const inner = rest.filter((line) => line.trim());
  const least = inner.reduce((smallest, line) => Math.min(smallest, indentOf(line)), Infinity);
  return [first, ...rest.map((line) => line.slice(Math.min(least, indentOf(line))))];
}

function tabled(lines, at) {
  const head = cells(lines[at]);
  const right = cells(lines[at + 1]).map((cell) => cell.endsWith(":"));
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const rows = lines.slice(at + 2, end).map((line) => head.map((_, place) => partsOf(cells(line)[place] ?? "")));
  return [{ kind: "table", head: head.map((cell) => partsOf(cell)), rows, right }, end];
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !begins(lines[end])) end += 1;
  return [{ kind: "paragraph", parts: partsOf(lines.slice(at, end).map((line) => line.trim()).join("\n")) }, end];
}

const begins = (line) => HEADING.test(line) || FENCE.test(line) || RULE.test(line) || ITEM.test(line) || /^ {0,3}>/.test(line);

// Lengths are bounded, so that no text takes more than its length in time.
const PARTS = new RegExp(
  [
    "\\\\([!-/:-@[-`{-~])", // 1: an escaped sign
    "(`+)([^`\\n]{1,2000}?)\\2(?!`)", // 2, 3: code
    "\\*\\*(?=\\S)([^*\\n]{1,2000}?)\\*\\*", // 4: strong
    "\\*(?=\\S)([^*\\n]{1,2000}?)\\*", // 5: emphasis
    "(?<![A-Za-z0-9])_(?=\\S)([^_\\n]{1,2000}?)_(?![A-Za-z0-9])", // 6: emphasis
    "(!?)\\[([^\\][\\n]{0,500})\\]\\(([^()\\s]{0,1000})\\)", // 7, 8, 9: link or picture
    "&(?:#(\\d{1,6})|(amp|lt|gt|quot|nbsp));", // 10, 11: an entity
  ].join("|"),
  "g",
);
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0" };

/** The parts of a line of text. */
export function partsOf(text, depth = 0) {
  const parts = [];
  let from = 0;
  const add = (part) => {
    if (typeof part === "string" && typeof parts.at(-1) === "string") parts.push(parts.pop() + part);
    else if (part !== "") parts.push(part);
  };
  for (const found of text.matchAll(PARTS)) {
    add(text.slice(from, found.index));
    add(partOf(found, depth));
    from = found.index + found[0].length;
  }
  add(text.slice(from));
  return parts;
}

function partOf(found, depth) {
  const [whole, escaped, , code, strong, em, emToo, bang, name, address, number, entity] = found;
  const inner = (text) => (depth < MOST_DEPTH ? partsOf(text, depth + 1) : [text]);
  if (escaped !== undefined) return escaped;
  if (code !== undefined) return { kind: "code", text: code };
  if (strong !== undefined) return { kind: "strong", parts: inner(strong) };
  if (em !== undefined || emToo !== undefined) return { kind: "em", parts: inner(em ?? emToo) };
  if (entity) return ENTITIES[entity];
  if (number) return Number(number) > 31 && Number(number) < 0xd800 ? String.fromCodePoint(Number(number)) : whole;
  if (bang) return { kind: "picture", text: name };
  return { kind: "link", parts: inner(name), address: safeAddress(address) };
}

/** The address if it leads to a web page or inside the card ("#data"); else empty, and the link is text. */
export function safeAddress(address) {
  return /^(?:https?:\/\/|#)/i.test(address) ? address : "";
}

/** What "#..." of a link names: the heading in lower case, with "-" for spaces and without signs. */
export function slug(heading) {
  return heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replace(/ /g, "-");
}
