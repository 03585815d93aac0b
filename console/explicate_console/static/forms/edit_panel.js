// A word or a cell changed in its place: what it becomes, and asking again.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import CellField from "/static/forms/cell_field.js";
import { columnsOf } from "/static/forms/model_info.js";
import { withTexts } from "/static/parts/players.js";

/** A name in a line of other words, in its own direction whatever that is. */
const apart = (text) => `\u2068${text}\u2069`;

/** "from → to", for people. */
export const moved = (from, to) => `${apart(from)} → ${apart(to)}`;

/** A text with the spans (UTF-16, of this text) replaced; a space that would be doubled goes with what is left out. */
export function replaced(text, spans, by) {
  return [...spans].sort((one, other) => other.start - one.start).reduce((now, { start, end }) => {
    const doubled = by === "" && /\s|^$/.test(now.slice(start - 1, start)) && /\s/.test(now.slice(end, end + 1));
    return now.slice(0, start) + by + now.slice(doubled ? end + 1 : end);
  }, text);
}

/** The input after the words of an item became other ones. */
export function withWords(input, item, by) {
  const own = item.spans.filter((span) => !span.inPair);
  const pair = item.spans.filter((span) => span.inPair);
  return withTexts(input, { ...(own.length && { text: replaced(input.text, own, by) }), ...(pair.length && { textPair: replaced(input.textPair, pair, by) }) });
}

/** The input after cells became other ones. */
export const withCells = (input, changed) => ({ ...input, cells: Object.assign(Object.create(null), input.cells, changed) });

function Panel({ name, onCancel, onApply, children }) {
  const form = useRef();
  useEffect(() => { form.current.querySelector("input, select, textarea, button")?.focus(); form.current.scrollIntoView({ block: "nearest" }); }, [name]);
  const keys = (event) => { if (event.key === "Escape") { event.stopPropagation(); onCancel(); } };
  return html`<form class="edit" ref=${form} aria-label=${name} onKeyDown=${keys} onSubmit=${(event) => { event.preventDefault(); onApply(); }}>
    ${children}</form>`;
}

/** The words of an item that can become others; null of a group whose words stand in several places. */
const wordsOf = (item) => (item.group === null ? item.name : item.texts.length === 1 ? item.texts[0] : null);

function WordEdit({ item, onInput, onCancel }) {
  const words = wordsOf(item);
  const [text, setText] = useState(words);
  useEffect(() => setText(words), [item]);
  const told = words ?? item.name;
  const apply = (by) => onInput((input) => withWords(input, item, by), by.trim() ? moved(`“${told}”`, `“${by}”`) : `without ${apart(`“${told}”`)}`);
  return html`<${Panel} name=${`Change ${item.name}`} onCancel=${onCancel} onApply=${() => apply(text)}>
    ${words === null ? html`<p dir="auto"><bdi>${item.name}</bdi>: ${item.texts.map((each) => `“${each}”`).join(", ")}</p>` : html`<label dir="auto"><span class="cut">In the place of “${words}”</span>
      <input type="text" dir="auto" value=${text} autocomplete="off" onInput=${(event) => setText(event.target.value)} onFocus=${(event) => event.target.select()} /></label>
    <button class="primary" disabled=${text === words}>Change and explain</button>`}
    <button type="button" onClick=${() => apply("")}>Leave it out</button>
    <button type="button" onClick=${onCancel}>Cancel</button><//>`;
}

const shown = (value) => (value === null ? "missing" : value);

function CellEdit({ item, info, input, onInput, onCancel }) {
  const columns = columnsOf(info).filter((each) => Object.hasOwn(item.cells, each.name));
  const [changed, setChanged] = useState({});
  useEffect(() => setChanged({}), [item]);
  const held = (name) => (Object.hasOwn(changed, name) ? changed[name] : input.cells[name]);
  const changes = columns.filter((each) => held(each.name) !== input.cells[each.name] && held(each.name) !== "");
  const apply = () => onInput((before) => withCells(before, Object.fromEntries(changes.map((each) => [each.name, held(each.name)]))),
    changes.map((each) => `${apart(each.name)} ${moved(shown(input.cells[each.name]), shown(held(each.name)))}`).join(", "));
  return html`<${Panel} name=${`Change ${item.name}`} onCancel=${onCancel} onApply=${() => changes.length && apply()}>
    ${columns.map((column) => html`<${CellField} key=${column.name} column=${column} path=${`edit.${column.name}`} value=${held(column.name)}
      onValue=${(value) => setChanged({ ...changed, [column.name]: value })} />`)}
    <button class="primary" disabled=${!changes.length}>Change and explain</button>
    <button type="button" onClick=${onCancel}>Cancel</button><//>`;
}

/**
 * @param {{item: object, info: object, input: object, onInput: Function, onCancel: Function}} props
 * onInput gets a function from the input to the changed one, and the change in words.
 */
export default function EditPanel(props) {
  const { item } = props;
  if (item.spans?.length) return html`<${WordEdit} ...${props} />`;
  return item.cells && Object.keys(item.cells).length ? html`<${CellEdit} ...${props} />` : null;
}

/** Whether an item can be changed in its place. */
export const isEditable = (item) => Boolean(item?.spans?.length || Object.keys(item?.cells ?? {}).length);
