// The text with each part coloured by what it adds; a line below tells the figures of the one that is pointed at.
import { html, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { Figure, Key, meaning, Name, told, Track } from "/static/marks/common.js";
import { answerPieces } from "/static/marks/pieces.js";
import { direction, doubt, extent, largest, scale } from "/static/marks/scales.js";

/** The text, or both of a pair; with `onPick(item)` a word is picked by click, Enter or Space. */
export default function Words({ answer, output = 0, onPick }) {
  const { items, name } = answer.outputs[output] ?? { items: [], name: "" };
  const texts = answerPieces(answer, items);
  const [shown, show] = useState(null);
  const [stop, setStop] = useState(0);
  const most = largest(items);
  const box = useRef(null);
  const first = Math.min(stop, items.length - 1); // the word that the Tab key goes to
  const point = (place) => { show(place); setStop(place); };
  const titles = texts.length > 1 ? ["First text", "Second text"] : [""];
  return html`<div role="group" class="mark mark-words" ref=${box} aria-label=${`The text, and what each ${answer.noun} adds to ${name}`}>
    ${texts.map((found, number) => html`${titles[number] && html`<p class="mark-quiet mark-title">${titles[number]}</p>`}
      <div class="mark-text" dir="auto" role="group" aria-label=${`${titles[number] || "Text"}; arrow keys go from ${answer.noun} to ${answer.noun}`}
        onKeyDown=${(event) => move(event, box.current)} onPointerLeave=${() => show(null)}>
        ${found.map((piece) => html`<${Piece} piece=${piece} item=${items[piece.place]} answer=${answer} most=${most}
          stop=${first} point=${point} onPick=${onPick} />`)}</div>`)}
    ${answer.unspacedScripts.length > 0 && html`<p class="mark-quiet">${unspaced(answer.unspacedScripts)}</p>`}
    <${Detail} item=${items[shown]} answer=${answer} output=${output} />
    <${Key} answer=${answer} />
  </div>`;
}

function Piece({ piece, item, answer, most, stop, point, onPick }) {
  if (!piece.isRead) return html`<span class="mark-unread" title="The model did not read this"><span class="mark-said">Not read: </span>${piece.text}</span>`;
  if (piece.place === "fixed") return html`<span class="mark-fixed-word" title="Always there">${piece.text}<span class="mark-said"> (always there)</span></span>`;
  if (!item) return piece.text;
  const pick = () => { point(item.place); onPick?.(item); };
  return html`<span role="button" tabindex=${stop === item.place ? 0 : -1} class=${`mark-word ${direction(item.value)} ${doubt(item)}`}
    style=${{ "--strength": Math.min(Math.abs(item.value ?? 0) / most, 1).toFixed(3) }}
    aria-label=${`${piece.text}${item.group === null ? "" : `, of ${item.name}`}: ${told(item, answer)}`} onClick=${pick} onPointerEnter=${() => point(item.place)} onFocus=${() => point(item.place)}
    onKeyDown=${(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); } }}>${piece.text}</span>`;
}

/** Arrow keys, Home and End go through the words, so that the text is one stop of the Tab key. */
function move(event, box) {
  const words = [...box.querySelectorAll(".mark-word")];
  const here = words.indexOf(document.activeElement);
  const rtl = getComputedStyle(event.currentTarget).direction === "rtl";
  const to = { ArrowRight: here + (rtl ? -1 : 1), ArrowLeft: here + (rtl ? 1 : -1), ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: words.length - 1 }[event.key];
  if (to === undefined || here < 0) return;
  event.preventDefault();
  words[Math.min(Math.max(to, 0), words.length - 1)].focus();
}

function Detail({ item, answer, output }) {
  if (!item) return html`<div class="mark-detail" aria-hidden="true"><span class="mark-quiet">Point at a ${answer.noun} for its figures.</span></div>`;
  const at = scale(extent(answer.outputs[output].items));
  return html`<div class="mark-detail" aria-hidden="true"><span class="mark-detail-name"><${Name} text=${item.name} /></span>
    <${Track} at=${at} item=${item} /><${Figure} item=${item} answer=${answer} />
    <span class="mark-meaning">${meaning(item, answer, output)}${item.instead !== null && html` In its place: <bdi dir="auto">${item.instead || "nothing"}</bdi>.`}</span></div>`;
}

function unspaced(scripts) {
  const names = scripts.map((script) => script.replaceAll("_", " "));
  return `Written without spaces: ${names.join(", ")}. There the words are the model’s tokens.`;
}
