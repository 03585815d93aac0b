// Boxes that are drawn on a picture, or given as numbers: they are always there, or one part.
import { html, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { Field } from "/static/forms/field.js";
import { SIDES, boxBetween, boxOf, boxWords } from "/static/parts/boxes.js";
import { Chosen, MEANING, Tools } from "/static/parts/chosen.js";
import { NOBODY, placed, withPart } from "/static/parts/players.js";

const NAMES = { left: "Left", top: "Top", right: "Right", bottom: "Bottom" };
const allOf = ({ fixed, groups }) => [...fixed, ...groups.flatMap((group) => group.parts)];

/** Each box with its number on the picture, as it is called in the list. */
const numbered = (info, players) => new Map(allOf(placed(info, players)).map(({ part }, place) => [part, place + 1]));

function Box({ box, number, size, kind }) {
  const { left, top, right, bottom } = box;
  const letter = Math.max(size.width, size.height) / 18;
  return html`<g class=${`box ${kind}`}><rect class="halo" x=${left} y=${top} width=${right - left} height=${bottom - top} /><rect x=${left} y=${top} width=${right - left} height=${bottom - top} />
    ${number && html`<text class="numeral" x=${left + letter / 4} y=${top + letter} font-size=${letter}>${number}</text>`}</g>`;
}

/** The place of a pointer in pixels of the picture. */
function placeOf(event) {
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(event.currentTarget.getScreenCTM().inverse());
  return [x, y];
}

/**
 * The boxes over the picture; a drag with `onDraft` draws one. It lies on the picture's own place and keeps its proportions as it does.
 * @param {{info: object, players?: object, size: {width, height}, draft: object, onDraft?: Function}} props
 */
export function Boxes({ info, players, size, draft, onDraft }) {
  const start = useRef(null);
  const draw = (event) => {
    const box = start.current && boxBetween(start.current, placeOf(event), size);
    if (box) onDraft(box);
  };
  const begin = (event) => {
    if (event.button) return;
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    start.current = placeOf(event);
  };
  const drawing = onDraft && { onPointerDown: begin, onPointerMove: draw, onPointerUp: (event) => { draw(event); start.current = null; }, onPointerCancel: () => { start.current = null; } };
  const wanted = boxOf(draft, size).box;
  return html`<svg class=${onDraft ? "boxes drawn" : "boxes"} viewBox=${`0 0 ${size.width} ${size.height}`} aria-hidden="true" ...${drawing}>
    ${[...numbered(info, players)].map(([part, number]) => html`<${Box} key=${number} box=${part.box} number=${number} size=${size} kind=${part.to === "fixed" ? "stays" : "joined"} />`)}
    ${onDraft && wanted && html`<${Box} box=${wanted} size=${size} kind="wanted" />`}</svg>`;
}

/** @param {{info: object, input: object, onInput: Function, errors?: object[], size: object|null, draft: object, onDraft: Function}} props */
export default function ImageParts({ info, input, onInput, errors, size, draft, onDraft }) {
  const [told, setTold] = useState("");
  const players = input.players ?? NOBODY;
  const numbers = numbered(info, players);
  const take = (to) => {
    const { box, problem } = boxOf(draft, size);
    if (problem) return setTold(problem);
    setTold(`The box ${boxWords(box)} ${to === "fixed" ? "is always there" : "is one part"}.`);
    onDraft({});
    return onInput({ ...input, players: withPart(players, { box }, to) });
  };
  return html`<p class="hint">${size ? "Draw a box on the picture, or give its sides" : "Give the sides of a box"} in pixels, then press a button. It is exactly these pixels, whatever segments they lie in. ${MEANING}</p>
    <div class="sides-of-box">${SIDES.map((side) => html`<${Field} key=${side} path=${`parts.box.${side}`} label=${NAMES[side]}>${(attributes) => html`
      <input ...${attributes} type="text" inputmode="decimal" autocomplete="off" size="6" value=${draft[side] ?? ""} onInput=${(event) => onDraft({ ...draft, [side]: event.target.value })} />`}<//>`)}</div>
    <${Tools} groups=${placed(info, players).groups} onTake=${take} />
    <p class="hint" role="status">${told}</p>
    <${Chosen} found=${placed(info, players)} words=${(part) => `${numbers.get(part)}: ${boxWords(part.box)}`} errors=${errors} players=${players} onPlayers=${(changed) => onInput({ ...input, players: changed })} />`;
}
