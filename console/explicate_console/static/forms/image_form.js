// An image: chosen, dropped or pasted, checked as the server would, and shown.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { Field } from "/static/forms/field.js";
import { declaredSize, formatOf, imageProblem } from "/static/forms/image_check.js";
import { limitOf } from "/static/forms/model_info.js";
import { count } from "/static/format.js";
import { boxWords } from "/static/parts/boxes.js";
import { PartsFold } from "/static/parts/fold.js";
import { Boxes } from "/static/parts/image_parts.js";
import { NOBODY } from "/static/parts/players.js";

const ACCEPTED = "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff,.tif,.tiff";
const PATH = "input.image.content";

const base64Of = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => reject(new Error("the file cannot be read"));
  reader.readAsDataURL(file);
});

/** What a form holds of a file: {name, size, file, format, width, height, base64, url, problem}; checked before it is read whole. */
export async function readImageFile(file, info) {
  const limits = { maxBytes: limitOf(info, "maxImageBytes"), maxPixels: limitOf(info, "maxImagePixels") };
  const held = { name: file.name || "pasted picture", size: file.size, file, base64: "", url: "" };
  if (file.size > limits.maxBytes) return { ...held, problem: `has ${count(file.size)} bytes; at most ${count(limits.maxBytes)} are accepted` };
  const bytes = new Uint8Array(await file.arrayBuffer());
  const problem = imageProblem(bytes, limits);
  const format = formatOf(bytes);
  const size = (format && declaredSize(bytes, format)) || {};
  if (problem) return { ...held, ...size, format, problem };
  return { ...held, ...size, format, problem: "", base64: await base64Of(file), url: URL.createObjectURL(file) };
}

function Preview({ image, onSize, children }) {
  const [unseen, setUnseen] = useState("");
  const seen = ({ target: { naturalWidth, naturalHeight } }) => onSize({ url: image.url, width: naturalWidth, height: naturalHeight });
  const told = [image.name, image.format, image.width && `${count(image.width)} × ${count(image.height)} pixels`, `${count(image.size)} bytes`];
  return html`<figure class="preview">
    ${image.url && unseen !== image.url && html`<div class="picture"><img src=${image.url} alt=${`The picture ${image.name}`} draggable=${false} onLoad=${seen} onError=${() => setUnseen(image.url)} />${children}</div>`}
    ${image.url && unseen === image.url && html`<p class="quiet">This browser cannot show ${image.format || "such"} files; the server reads them.</p>`}
    <figcaption dir="auto">${told.filter(Boolean).join(" · ")}</figcaption></figure>`;
}

/**
 * @param {{info: object, value: {image: object|null}, onChange: Function, errors?: object[], path?: string, label?: string, pastes?: boolean}} props
 * `pastes`: whether a picture that is pasted anywhere on the page goes here.
 */
export default function ImageForm({ info, value, onChange, errors, path = PATH, label = "Picture", pastes = true }) {
  const [over, setOver] = useState(false);
  const latest = useRef();
  const [seen, setSeen] = useState(null);
  const [draft, setDraft] = useState({});
  const [drawing, setDrawing] = useState(false);
  const size = seen?.url === value.image?.url ? seen : null; // upright, as the browser shows it
  const take = async (file) => {
    if (!file) return;
    latest.current = file;
    const image = await readImageFile(file, info).catch((error) => ({ name: file.name, size: file.size, problem: error.message }));
    if (latest.current !== file) return;
    setDraft({});
    onChange({ image, players: value.players && { ...NOBODY, dropped: value.players.parts.map(({ box }) => boxWords(box)) } });
  };
  useEffect(() => {
    if (!pastes) return undefined;
    const pasted = (event) => take([...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/")));
    addEventListener("paste", pasted);
    return () => removeEventListener("paste", pasted);
  }, [info]);
  const drop = (event) => { event.preventDefault(); setOver(false); take(event.dataTransfer.files[0]); };
  const own = value.image?.problem ? [{ field: path, description: value.image.problem }] : [];
  const hint = `PNG, JPEG, WebP, GIF, BMP or TIFF, at most ${count(limitOf(info, "maxImageBytes"))} bytes and ${count(limitOf(info, "maxImagePixels"))} pixels. Drop ${pastes ? "or paste " : ""}one here, too.`;
  return html`<div class=${`drop ${over ? "over" : ""}`} onDragOver=${(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <${Field} path=${path} label=${label} hint=${hint} errors=${own.length ? own : errors} inside wide>${(attributes) => html`
      <input ...${attributes} type="file" accept=${ACCEPTED} onChange=${(event) => take(event.target.files[0])} />`}<//>
    ${value.image ? html`<${Preview} image=${value.image} onSize=${setSeen}>${size && html`<${Boxes} info=${info} players=${value.players} size=${size} draft=${draft} onDraft=${drawing && setDraft} />`}<//>` : html`<p class="preview quiet">No picture yet.</p>`}
    ${value.image?.url && path === PATH && html`<${PartsFold} onOpen=${setDrawing} title="Regions that stay, or go together" module="/static/parts/image_parts.js" info=${info} players=${value.players} input=${value} onInput=${onChange}
      errors=${errors} size=${size} draft=${draft} onDraft=${setDraft} />`}
  </div>`;
}
