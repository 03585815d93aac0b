// A model card: Markdown as elements, never as HTML. Headings begin below those of the page; pictures are not fetched.
import { html, useMemo } from "/static/vendor/htm-preact-standalone.js";
import { readMarkdown } from "/static/models/markdown.js";
import { Scroll } from "/static/models/scroll.js";

const MOST_CHARACTERS = 400000;

/** The card; `text` is MODEL_CARD.md. */
export function Card({ text }) {
  const blocks = useMemo(() => readMarkdown(text.slice(0, MOST_CHARACTERS)), [text]);
  return html`<article class="card" dir="auto">${blocks.map((block) => html`<${Block} block=${block} />`)}
    ${text.length > MOST_CHARACTERS && html`<p class="quiet">The card is longer; explicate models show --card prints all of it.</p>`}</article>`;
}

function Block({ block }) {
  if (block.kind === "heading") return heading(block);
  if (block.kind === "code") return html`<pre tabindex="0"><code>${block.text}</code></pre>`;
  if (block.kind === "rule") return html`<hr />`;
  if (block.kind === "quote") return html`<blockquote>${block.blocks.map((one) => html`<${Block} block=${one} />`)}</blockquote>`;
  if (block.kind === "list") return list(block);
  if (block.kind === "table") return table(block);
  return html`<p>${parts(block.parts)}</p>`;
}

function heading({ level, parts: of, id }) {
  const Level = `h${Math.min(level + 2, 6)}`;
  return html`<${Level} id=${`card-${id}`} tabindex="-1">${parts(of)}<//>`;
}

function list({ ordered, items }) {
  const List = ordered ? "ol" : "ul";
  return html`<${List}>${items.map((item) => html`<li>${item.map((one) => (
    one.kind === "paragraph" ? parts(one.parts) : html`<${Block} block=${one} />`))}</li>`)}<//>`;
}

function table({ head, rows, right }) {
  const side = (place) => (right[place] ? "number" : "");
  return html`<${Scroll} name="Table of the card"><table>
    <thead><tr>${head.map((cell, place) => html`<th scope="col" class=${side(place)}>${parts(cell)}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${row.map((cell, place) => html`<td class=${side(place)}>${parts(cell)}</td>`)}</tr>`)}</tbody>
  </table><//>`;
}

const parts = (of) => of.map((part) => html`<${Part} part=${part} />`);

function Part({ part }) {
  if (typeof part === "string") return part;
  if (part.kind === "code") return html`<code>${part.text}</code>`;
  if (part.kind === "strong") return html`<strong>${parts(part.parts)}</strong>`;
  if (part.kind === "em") return html`<em>${parts(part.parts)}</em>`;
  if (part.kind === "picture") return html`<span class="quiet">[picture: ${part.text || "without a name"}]</span>`;
  if (!part.address) return html`<span>${parts(part.parts)}</span>`;
  if (part.address.startsWith("#")) return html`<button type="button" class="link" onClick=${() => reveal(part.address.slice(1))}>${parts(part.parts)}</button>`;
  return html`<a href=${part.address} rel="noopener noreferrer" target="_blank" title=${part.address}>${parts(part.parts)}</a>`;
}

function reveal(id) {
  const found = document.getElementById(`card-${id}`);
  found?.scrollIntoView();
  found?.focus();
}
