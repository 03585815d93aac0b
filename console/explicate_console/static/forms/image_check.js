// What the server would refuse of an image file, told before it is sent and in the same words.
import { count } from "../format.js";

const FORMATS = ["PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF"];

/**
 * What is wrong with the bytes of a file, or "".
 * @param {Uint8Array} bytes @param {{maxBytes: number, maxPixels: number}} limits
 */
export function imageProblem(bytes, { maxBytes, maxPixels }) {
  if (!bytes.length) return "is empty; give the bytes of an image file";
  if (bytes.length > maxBytes) return `has ${count(bytes.length)} bytes; at most ${count(maxBytes)} are accepted`;
  const format = formatOf(bytes);
  if (!format) return `is no ${FORMATS.slice(0, -1).join(", ")} or ${FORMATS.at(-1)} file`;
  const size = declaredSize(bytes, format);
  if (size && size.width * size.height > maxPixels) {
    return `declares ${count(size.width)} x ${count(size.height)} pixels; at most ${count(maxPixels)} are accepted`;
  }
  return "";
}

const letters = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

/** The format of a file by its first bytes, or "". */
export function formatOf(bytes) {
  const head = letters(bytes, 0, 12);
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "PNG";
  if (head.startsWith("\xff\xd8\xff")) return "JPEG";
  if (head.startsWith("RIFF") && head.slice(8, 12) === "WEBP") return "WebP";
  if (/^GIF8[79]a/.test(head)) return "GIF";
  if (head.startsWith("BM")) return "BMP";
  return /^(II[*+]\0|MM\0[*+])/.test(head) ? "TIFF" : "";
}

/** {width, height} as a file declares them, or null where its head does not tell. */
export function declaredSize(bytes, format) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return READERS[format]?.(view) ?? null;
  } catch {
    return null; // too short; the server says what is wrong with it
  }
}

const READERS = {
  PNG: (view) => ({ width: view.getUint32(16), height: view.getUint32(20) }),
  GIF: (view) => ({ width: view.getUint16(6, true), height: view.getUint16(8, true) }),
  BMP: (view) => (view.getUint32(14, true) === 12
    ? { width: view.getUint16(18, true), height: view.getUint16(20, true) }
    : { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) }),
  JPEG: jpegSize,
  WebP: webpSize,
  TIFF: tiffSize,
};

function jpegSize(view) {
  for (let at = 2; at < view.byteLength;) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return null;
}

function webpSize(view) {
  const chunk = view.getUint32(12);
  const three = (at) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (chunk === 0x56503858) return { width: 1 + three(24), height: 1 + three(27) }; // "VP8X"
  if (chunk === 0x56503820) return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }; // "VP8 "
  const bits = view.getUint32(21, true); // "VP8L"
  return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
}

function tiffSize(view) {
  const little = view.getUint8(0) === 0x49;
  if (view.getUint16(2, little) !== 42) return null;
  const start = view.getUint32(4, little);
  const found = {};
  for (let entry = 0; entry < view.getUint16(start, little); entry += 1) {
    const at = start + 2 + 12 * entry;
    const value = view.getUint16(at + 2, little) === 3 ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
    found[view.getUint16(at, little)] = value;
  }
  return found[256] && found[257] ? { width: found[256], height: found[257] } : null;
}
