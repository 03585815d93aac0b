// Words that are chosen by selecting them in a text: they are always there, or one part.
import { html, useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { Chosen, MEANING, Tools } from "/static/parts/chosen.js";
import { NOBODY, placed, withPart } from "/static/parts/players.js";
import { snapped } from "/static/parts/text_ranges.js";

const keyOf = (inPair) => (inPair ? "textPair" : "text");

/** The range of whole words that is selected in the text that was last in use, or null. */
function selectedIn(area) {
  if (!area || area.element.selectionStart === area.element.selectionEnd) return null;
  const { element, inPair } = area;
  const range = snapped(element.value, element.selectionStart, element.selectionEnd);
  return range && { ...range, inPair, words: element.value.slice(range.start, range.end) };
}

/** What is selected, as it changes. */
function useSelected(latest) {
  const [selected, setSelected] = useState(() => selectedIn(latest.current));
  useEffect(() => {
    const look = () => { if (document.activeElement === latest.current?.element) setSelected(selectedIn(latest.current)); };
    document.addEventListener("selectionchange", look);
    return () => document.removeEventListener("selectionchange", look);
  }, []);
  return selected;
}

/** @param {{info: object, input: object, onInput: Function, errors?: object[], latest: {current: {element, inPair}}}} props latest is the text field last in use */
export default function TextParts({ info, input, onInput, errors, latest }) {
  const selected = useSelected(latest);
  const [told, setTold] = useState("");
  const players = input.players ?? NOBODY;
  const pairs = info.bundle.text.pairs;
  const take = (to) => {
    const range = selectedIn(latest.current);
    if (!range) return setTold("Select words in the text first, with the mouse or with Shift and the arrow keys.");
    const { words, ...place } = range;
    setTold(`“${words}” ${to === "fixed" ? "is always there" : "is one part"}.`);
    return onInput({ ...input, [keyOf(place.inPair)]: latest.current.element.value, players: withPart(players, { range: place }, to) });
  };
  const words = ({ range }) => `“${input[keyOf(range.inPair)].slice(range.start, range.end)}”${pairs ? (range.inPair ? " in the second text" : " in the first text") : ""}`;
  return html`<p class="hint">Select words in the text, then press a button. It holds for this place alone, also where the words come again. ${MEANING}</p>
    <p class="hint selected" dir="auto">Selected: <bdi class="cut">${selected ? `“${selected.words}”` : "nothing"}</bdi></p>
    <${Tools} groups=${placed(info, players, input).groups} onTake=${take} />
    <p class="hint" role="status" dir="auto">${told}</p>
    <${Chosen} found=${placed(info, players, input)} words=${words} errors=${errors} players=${players} onPlayers=${(changed) => onInput({ ...input, players: changed })} />`;
}
