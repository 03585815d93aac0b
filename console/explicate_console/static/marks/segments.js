// The image with its segments laid over it, and a list of them that shows where each one lies.
import { html, useEffect, useLayoutEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { Figure, Key, More, usePlaces } from "/static/marks/common.js";
import { paintSegments, whereabouts } from "/static/marks/segment_map.js";

const LISTED = 10; // segments before the rest is asked for
const LONGEST = 1600; // pixels of the picture's longer edge that are kept

/** opacity: of the strongest segment, from 0 to 1. With `onPick(item)` a segment is picked from the picture or the list. */
export default function Segments({ answer, output = 0, opacity = 0.72, onPick }) {
  const { items, name } = answer.outputs[output] ?? { items: [], name: "" };
  const [pointed, point] = useState(null);
  const [all, showAll] = useState(false);
  const places = usePlaces(answer, items);
  const shown = all ? places : places.slice(0, LISTED);
  const pick = (item) => { point(item.place); onPick?.(item); };
  return html`<div role="group" class="mark mark-segments" aria-label=${`The image, and what each ${answer.noun} adds to ${name}`}>
    <div class="mark-beside-picture">
      <${Picture} answer=${answer} items=${items} opacity=${opacity} pointed=${pointed} point=${point} pick=${pick} />
      <div class="mark-list"><ol>${shown.map((place) => html`<${Listed} item=${items[place]} answer=${answer} isPointed=${pointed === place} point=${point} pick=${pick} />`)}</ol>
        <${More} hidden=${places.length - shown.length} all=${all} toggle=${() => showAll(!all)} /></div>
    </div>
    <${Key} answer=${answer} unsure="dashed or striped" />
  </div>`;
}

function Listed({ item, answer, isPointed, point, pick }) {
  return html`<li><button class=${isPointed ? "pointed" : ""} onFocus=${() => point(item.place)} onPointerEnter=${() => point(item.place)}
    onBlur=${() => point(null)} onPointerLeave=${() => point(null)} onClick=${() => pick(item)}>
    <span class="mark-part"><bdi dir="auto">${item.name}</bdi><span class="mark-quiet">${whereabouts(item, answer)}</span></span>
    <${Figure} item=${item} answer=${answer} /></button></li>`;
}

function Picture({ answer, items, opacity, pointed, point, pick }) {
  const { segmentMap, input: { blob } } = answer;
  const usage = answer.prediction.imageUsage ?? { width: 1, height: 1, left: 0, top: 0, right: 1, bottom: 1 };
  const [photo, problem] = usePicture(blob);
  const overlay = useOverlay((canvas) => segmentMap && paintSegments(canvas, segmentMap, items, { opacity, pointed, decimals: answer.decimals }));
  const placeAt = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * segmentMap.width, ((event.clientY - box.top) / box.height) * segmentMap.height];
    return items[segmentMap.places[Math.floor(y) * segmentMap.width + Math.floor(x)]] ?? null;
  };
  return html`<figure class="mark-picture">
    <div class="mark-frame" style=${{ "--image-width": usage.width, "--image-height": usage.height }}>
      <canvas ref=${photo} width="1" height="1" class="mark-photo" role="img" aria-label="The image as the model was given it, upright"></canvas>
      ${segmentMap && html`<canvas ref=${overlay} class="mark-overlay" style=${boxOf(usage)} role="img"
        aria-label=${`${items.length} ${answer.nouns} over the image; the list has their figures`}
        onPointerMove=${(event) => point(placeAt(event)?.place ?? null)} onPointerLeave=${() => point(null)}
        onClick=${(event) => { const item = placeAt(event); if (item) pick(item); }}></canvas>`}
    </div>
    ${problem && html`<figcaption class="mark-quiet">${problem}</figcaption>`}
  </figure>`;
}

/** Where on the picture the part lies that the model saw. */
function boxOf({ width, height, left, top, right, bottom }) {
  return { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
    width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` };
}

/** A canvas that is painted anew with each drawing of the page, and when its size changes. */
function useOverlay(paint) {
  const canvas = useRef(null);
  const latest = useRef(paint);
  latest.current = paint;
  useLayoutEffect(() => { if (canvas.current) paint(canvas.current); });
  useEffect(() => {
    if (!canvas.current) return undefined;
    const observer = new ResizeObserver(() => canvas.current && latest.current(canvas.current));
    observer.observe(canvas.current);
    return () => observer.disconnect();
  }, [canvas.current]);
  return canvas;
}

/** A canvas with the picture, upright as its EXIF says and not larger than is shown; and why it cannot be shown. */
function usePicture(blob) {
  const canvas = useRef(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    if (!blob) { setProblem("The image itself was not kept: only its segments are shown."); return undefined; }
    let gone = false;
    setProblem("");
    upright(blob).then(
      (bitmap) => { if (!gone && canvas.current) draw(canvas.current, bitmap); bitmap.close(); },
      () => { if (!gone) setProblem("This browser cannot show a file of this kind: only its segments are shown."); },
    );
    return () => { gone = true; };
  }, [blob]);
  return [canvas, problem];
}

const upright = async (blob) => createImageBitmap(blob, { imageOrientation: "from-image" });

function draw(canvas, bitmap) {
  const share = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * share));
  canvas.height = Math.max(1, Math.round(bitmap.height * share));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}
