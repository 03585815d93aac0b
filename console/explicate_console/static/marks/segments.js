// The image with its segments laid over it, and a list of them that shows where each one lies.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { Figure, Key, usePlaces } from "/static/marks/common.js";
import { paintSegments, whereabouts } from "/static/marks/segment_map.js";

const LISTED = 12; // segments before the rest is asked for
const LONGEST = 1600; // pixels of the picture's longer edge that is kept

/** opacity: of the strongest segment, from 0 to 1. With `onPick(item)` a segment is picked from the picture or the list. */
export default function Segments({ answer, output = 0, opacity = 0.72, onPick }) {
  const { items, name } = answer.outputs[output] ?? { items: [], name: "" };
  const [pointed, point] = useState(null);
  const [all, showAll] = useState(false);
  const places = usePlaces(answer, items);
  const shown = all ? places : places.slice(0, LISTED);
  return html`<section class="mark mark-segments" aria-label=${`The image, and what each ${answer.noun} adds to ${name}`}>
    <${Picture} answer=${answer} output=${output} opacity=${opacity} pointed=${pointed} point=${point} onPick=${onPick} />
    <div class="mark-list"><ol>${shown.map((place) => html`<li>
      <button class=${pointed === place ? "pointed" : ""} onFocus=${() => point(place)} onPointerEnter=${() => point(place)}
        onBlur=${() => point(null)} onPointerLeave=${() => point(null)} onClick=${() => { point(place); onPick?.(items[place]); }}>
        <span><bdi dir="auto">${items[place].name}</bdi> <span class="mark-quiet">${whereabouts(items[place], answer)}</span></span>
        <${Figure} item=${items[place]} answer=${answer} /></button></li>`)}</ol>
      ${places.length > LISTED && html`<button class="mark-more" aria-expanded=${all} onClick=${() => showAll(!all)}>
        ${all ? "Show fewer" : `Show the other ${places.length - LISTED}`}</button>`}</div>
    <${Key} answer=${answer} />
  </section>`;
}

function Picture({ answer, output, opacity, pointed, point, onPick }) {
  const { segmentMap, prediction: { imageUsage }, input } = answer;
  const usage = imageUsage ?? { width: segmentMap?.width ?? 1, height: segmentMap?.height ?? 1, left: 0, top: 0, right: segmentMap?.width ?? 1, bottom: segmentMap?.height ?? 1 };
  const problem = useRef(null);
  const picture = usePicture(input.blob, problem);
  const overlay = useRef(null);
  const items = answer.outputs[output].items;
  useEffect(() => { if (segmentMap && overlay.current) paintSegments(overlay.current, segmentMap, items, { opacity, pointed }); });
  const placeAt = (event) => {
    const box = overlay.current.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * segmentMap.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * segmentMap.height);
    const place = segmentMap.places[y * segmentMap.width + x];
    return items[place] ? place : null;
  };
  const inside = { left: `${(100 * usage.left) / usage.width}%`, top: `${(100 * usage.top) / usage.height}%`,
    width: `${(100 * (usage.right - usage.left)) / usage.width}%`, height: `${(100 * (usage.bottom - usage.top)) / usage.height}%` };
  return html`<figure class="mark-picture" style=${{ "--across": usage.width, "--down": usage.height }}>
    <canvas ref=${picture} class="mark-photo" role="img" aria-label="The image"></canvas>
    ${segmentMap && html`<canvas ref=${overlay} class="mark-overlay" style=${inside} role="img"
      aria-label=${`${items.length} ${answer.nouns} over the image; the list has their figures`}
      onPointerMove=${(event) => point(placeAt(event))} onPointerLeave=${() => point(null)}
      onClick=${(event) => { const place = placeAt(event); if (place !== null) onPick?.(items[place]); }}></canvas>`}
  </figure>`;
}

/** A canvas with the picture, upright as its EXIF says and no larger than is shown. */
function usePicture(blob) {
  const canvas = useRef(null);
  useEffect(() => {
    if (!blob || !canvas.current) return undefined;
    let gone = false;
    decoded(blob).then((bitmap) => { if (!gone && canvas.current) draw(canvas.current, bitmap); bitmap.close(); }, () => {});
    return () => { gone = true; };
  }, [blob]);
  return canvas;
}

async function decoded(blob) {
  return createImageBitmap(blob, { imageOrientation: "from-image" });
}

function draw(canvas, bitmap) {
  const share = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * share));
  canvas.height = Math.max(1, Math.round(bitmap.height * share));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}
