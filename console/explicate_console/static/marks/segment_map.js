// Segments of an image painted on a canvas, and told by their place.
import { number } from "../format.js";
import { doubt, largest, placesBySize } from "./scales.js";

const MOST_PIXELS = 2048; // of an edge of the overlay
const WRITTEN = 8; // of the strongest segments, whose figures are written on the picture where they fit
const SIDES = [["left", "", "right"], ["upper", "", "lower"]];
const MIDDLES = { upper: "top", lower: "bottom", "": "middle" };

/** Paint what the segments of `items` add on a canvas of the size it has on the page. */
export function paintSegments(canvas, map, items, { opacity, pointed, decimals }) {
  const ratio = globalThis.devicePixelRatio ?? 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((edge) => Math.max(1, Math.min(MOST_PIXELS, Math.round(edge * ratio))));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  context.drawImage(colouredLayer(canvas, map, items, opacity), 0, 0, width, height);
  cutStripes(context, map, items, ratio);
  const to = { across: width / map.width, down: height / map.height };
  stroke(context, outlines(map, (one, other) => one !== other), to, "rgb(128 128 128 / .8)", ratio);
  if (pointed !== null) {
    const around = outlines(map, (one, other) => (one === pointed) !== (other === pointed), pointed);
    stroke(context, around, to, "#fff", 5 * ratio);
    stroke(context, around, to, "#000", 2.5 * ratio);
  }
  writeFigures(context, map, items, to, { opacity, decimals, ratio });
}

/** A canvas of the map's size with a pixel's colour where `colourOf(place)` has one, as [red, green, blue, alpha]. */
function layerOf({ width, height, places }, colourOf) {
  const layer = Object.assign(document.createElement("canvas"), { width, height });
  const image = layer.getContext("2d").createImageData(width, height);
  const colours = new Map();
  for (let pixel = 0; pixel < places.length; pixel += 1) {
    if (!colours.has(places[pixel])) colours.set(places[pixel], colourOf(places[pixel]));
    const colour = colours.get(places[pixel]);
    if (colour) image.data.set(colour, 4 * pixel);
  }
  layer.getContext("2d").putImageData(image, 0, 0);
  return layer;
}

function colouredLayer(canvas, map, items, opacity) {
  const style = getComputedStyle(canvas);
  const hues = { up: bytesOf(style.color), down: bytesOf(style.borderTopColor) };
  const most = largest(items);
  return layerOf(map, (place) => {
    const value = items[place]?.value;
    return value ? [...hues[value > 0 ? "up" : "down"], Math.round((255 * opacity * Math.abs(value)) / most)] : null;
  });
}

/** Any colour of CSS as three bytes. */
function bytesOf(colour) {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data.slice(0, 3);
}

/** Stripes without colour over segments that are unsure, so that they look hollow. */
function cutStripes(context, map, items, ratio) {
  const unsure = new Set(items.filter((item) => doubt(item) !== "sure").map((item) => item.place));
  if (!unsure.size) return;
  const { width, height } = context.canvas;
  const mask = Object.assign(document.createElement("canvas"), { width, height });
  const stripes = mask.getContext("2d");
  stripes.lineWidth = 4 * ratio;
  for (let x = -height; x < width; x += 9 * ratio) {
    stripes.moveTo(x, height);
    stripes.lineTo(x + height, 0);
  }
  stripes.stroke();
  stripes.globalCompositeOperation = "destination-in";
  stripes.imageSmoothingEnabled = false;
  stripes.drawImage(layerOf(map, (place) => (unsure.has(place) ? [0, 0, 0, 255] : null)), 0, 0, width, height);
  context.globalCompositeOperation = "destination-out";
  context.drawImage(mask, 0, 0);
  context.globalCompositeOperation = "source-over";
}

/** Edges between pixels that differ, as [x0, y0, x1, y1] on the map; with `place` also those of it at the border. */
export function outlines({ width, height, places }, differ, place = null) {
  const found = [];
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? -1 : places[y * width + x]);
  const first = place === null ? 0 : -1;
  for (let y = first; y < height; y += 1) {
    for (let x = first; x < width; x += 1) {
      const here = at(x, y);
      if ((place !== null || x + 1 < width) && differ(here, at(x + 1, y))) found.push([x + 1, y, x + 1, y + 1]);
      if ((place !== null || y + 1 < height) && differ(here, at(x, y + 1))) found.push([x, y + 1, x + 1, y + 1]);
    }
  }
  return found;
}

function stroke(context, lines, { across, down }, colour, width) {
  Object.assign(context, { strokeStyle: colour, lineWidth: width, lineCap: "square" });
  context.beginPath();
  for (const [x0, y0, x1, y1] of lines) {
    context.moveTo(x0 * across, y0 * down);
    context.lineTo(x1 * across, y1 * down);
  }
  context.stroke();
}

/** The figures of the strongest segments, with the sign, in the middle of each, where there is room. */
function writeFigures(context, map, items, { across, down }, { opacity, decimals, ratio }) {
  if (opacity === 0) return;
  const size = 12 * ratio;
  Object.assign(context, { font: `600 ${size}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle", lineJoin: "round",
    lineWidth: 3 * ratio, strokeStyle: "#000", fillStyle: "#fff" });
  const found = middles(map, items.length);
  for (const place of placesBySize(items).slice(0, WRITTEN)) {
    const middle = found[place];
    const text = number(items[place].value, Math.min(decimals, 3));
    if (!middle || !items[place].value || middle.across * across < context.measureText(text).width + size / 2 || middle.down * down < 1.4 * size) continue;
    const at = [middle.x * across, middle.y * down];
    context.strokeText(text, ...at);
    context.fillText(text, ...at);
  }
}

/**
 * For each place the middle of its widest room on the map, {x, y, across, down}: the pixel that is farthest from any other
 * segment, and how far the segment reaches from it along its row and its column.
 */
export function middles({ width, height, places }, count) {
  const far = distances({ width, height, places });
  const best = new Array(count).fill(-1);
  for (let pixel = 0; pixel < places.length; pixel += 1) {
    const place = places[pixel];
    if (place < count && (best[place] < 0 || far[pixel] > far[best[place]])) best[place] = pixel;
  }
  return best.map((start) => {
    if (start < 0) return null;
    const run = (pixel, step, before, after) => { // pixels of the same place on both sides of one
      const reach = (towards, most) => { let far = 0; while (far < most && places[pixel + (far + 1) * towards] === places[pixel]) far += 1; return far; };
      return [reach(-step, before), reach(step, after)];
    };
    const along = (pixel) => run(pixel, 1, pixel % width, width - 1 - (pixel % width));
    const upright = (pixel) => run(pixel, width, Math.floor(pixel / width), height - 1 - Math.floor(pixel / width));
    const [left, right] = along(start);
    const centred = start + Math.floor((right - left) / 2);
    const [up, below] = upright(centred);
    const pixel = centred + Math.floor((below - up) / 2) * width;
    const across = along(pixel);
    return { x: (pixel % width) + (across[1] - across[0] + 1) / 2, y: Math.floor(pixel / width) + 0.5,
      across: across[0] + across[1] + 1, down: up + below + 1 };
  });
}

/** Of each pixel, how many pixels away the nearest of another segment or the border is, in steps along rows and columns. */
function distances({ width, height, places }) {
  const far = new Uint16Array(places.length);
  const near = (pixel, step, inside) => (inside && places[pixel + step] === places[pixel] ? far[pixel + step] + 1 : 1);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const pixel = y * width + x;
      far[pixel] = Math.min(near(pixel, -1, x > 0), near(pixel, -width, y > 0));
    }
  }
  for (let y = height - 1; y >= 0; y -= 1) {
    for (let x = width - 1; x >= 0; x -= 1) {
      const pixel = y * width + x;
      far[pixel] = Math.min(far[pixel], near(pixel, 1, x < width - 1), near(pixel, width, y < height - 1));
    }
  }
  return far;
}

/** Where a segment lies: "upper left", "top", "middle". */
export function whereabouts({ segment }, { segmentMap }) {
  if (!segment || !segmentMap) return "";
  const centre = [(segment.left + segment.right) / 2 / segmentMap.width, (segment.top + segment.bottom) / 2 / segmentMap.height];
  const [across, down] = centre.map((share, side) => SIDES[side][Math.min(Math.floor(share * 3), 2)]);
  return across ? [down, across].filter(Boolean).join(" ") : MIDDLES[down];
}
