// Where the dots of a swarm go, and how they are drawn on a canvas.
import { decimalsFor } from "/static/format.js";

export const ROW = 30;
export const TOP = 8;
export const BOTTOM = 26;
const DOT = 2.4;
const RIGHT = 12;
const LEAST = [63, 154, 90];
const MIDDLE = [128, 128, 128];
const MOST = [153, 112, 171];

/** The dots with x, y, colour and line; `byLine`: of each feature their numbers, the least value first. */
export function layOut(dots, features, width) {
  const names = Math.min(160, Math.round(width * 0.28));
  const values = dots.map((dot) => dot.value).filter(Number.isFinite);
  const least = Math.min(0, ...values);
  const most = Math.max(0, ...values);
  const room = 0.03 * (most - least || 1);
  const [low, high] = [least - room, most + room];
  const x = (value) => names + ((width - names - RIGHT) * (value - low)) / (high - low);
  const laid = [];
  const byLine = features.map((feature, line) => {
    const own = dots.filter((dot) => dot.feature === feature && Number.isFinite(dot.value)).sort((one, other) => one.value - other.value);
    const colours = coloursOf(own);
    const held = new Map();
    return own.map((dot, place) => {
      const column = Math.round(x(dot.value) / (2 * DOT));
      const number = (held.get(column) ?? -1) + 1;
      held.set(column, number);
      const step = Math.ceil(number / 2) * (number % 2 ? -1 : 1) * DOT * 1.6;
      const limit = ROW / 2 - DOT - 1;
      laid.push({ ...dot, line, x: x(dot.value), y: TOP + ROW * (line + 0.5) + Math.max(-limit, Math.min(limit, step)), colour: colours[place] });
      return laid.length - 1;
    });
  });
  return { dots: laid, byLine, x, low, high, names, features };
}

/** By the place of a value among the different ones, so that one outlier does not take the colours of the others. */
function coloursOf(dots) {
  if (!dots.some((dot) => "holds" in dot)) return dots.map((dot) => (dot.value > 0 ? "raises" : "lowers"));
  const numbers = dots.map((dot) => (typeof dot.holds === "boolean" ? Number(dot.holds) : dot.holds));
  if (numbers.some((value) => typeof value === "string")) return numbers.map((value) => (value === null ? null : mixed(0.5)));
  const different = [...new Set(numbers.filter((value) => value !== null && value !== undefined))].sort((one, other) => one - other);
  const placeOf = new Map(different.map((value, place) => [value, different.length > 1 ? place / (different.length - 1) : 0.5]));
  return numbers.map((value) => (placeOf.has(value) ? mixed(placeOf.get(value)) : null));
}

function mixed(part) {
  const [from, to, along] = part < 0.5 ? [LEAST, MIDDLE, 2 * part] : [MIDDLE, MOST, 2 * part - 1];
  return `rgb(${from.map((one, place) => Math.round(one + (to[place] - one) * along)).join(",")})`;
}

/** The number of the dot that is nearest to a point, at most 12 px away; null. */
export function near(laid, x, y) {
  let best = null;
  let least = 144;
  laid.dots.forEach((dot, place) => {
    const away = (dot.x - x) ** 2 + (dot.y - y) ** 2;
    if (away < least) [best, least] = [place, away];
  });
  return best;
}

/** Draw all dots; the one `at` with its interval. */
export function drawSwarm(canvas, laid, { width, height, at }) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const ink = (name) => style.getPropertyValue(`--${name}`).trim();
  pen.font = `12px ${style.fontFamily}`;
  drawAxis(pen, laid, ink, width, height);
  for (const dot of laid.dots) drawDot(pen, dot, ink);
  if (at !== null && laid.dots[at]) drawChosen(pen, laid, laid.dots[at], ink);
}

function drawAxis(pen, laid, ink, width, height) {
  pen.textBaseline = "middle";
  laid.features.forEach((feature, line) => {
    const y = TOP + ROW * (line + 0.5);
    pen.fillStyle = ink("ink");
    pen.textAlign = "right";
    pen.fillText(shortened(pen, feature, laid.names - 14), laid.names - 10, y);
    pen.fillStyle = ink("soft");
    pen.fillRect(laid.names, y - 0.5, width - laid.names - RIGHT, 1);
  });
  const marks = ticksOf(laid.low, laid.high, Math.max(2, Math.floor((width - laid.names) / 80)));
  const decimals = decimalsFor(Math.abs((marks[1] ?? 1) - (marks[0] ?? 0)), 1);
  pen.textAlign = "center";
  for (const mark of marks) {
    const x = laid.x(mark);
    pen.fillStyle = ink(mark === 0 ? "edge" : "line");
    pen.fillRect(x - 0.5, TOP, 1, height - TOP - BOTTOM);
    pen.fillStyle = ink("faint");
    const sign = mark > 0 ? "+" : mark < 0 ? "-" : "";
    pen.fillText(`${sign}${Math.abs(mark).toFixed(decimals)}`, x, height - BOTTOM / 2);
  }
}

function shortened(pen, text, room) {
  let short = text.slice(0, 60);
  if (short === text && pen.measureText(text).width <= room) return text;
  while (short.length > 1 && pen.measureText(`${short}…`).width > room) short = [...short].slice(0, -1).join("");
  return `${short}…`;
}

function ticksOf(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * (1 - 1e-9));
  const found = [];
  for (let number = Math.ceil(low / step); number <= Math.floor(high / step); number += 1) found.push(number === 0 ? 0 : number * step);
  return found;
}

function drawDot(pen, dot, ink) {
  pen.beginPath();
  pen.arc(dot.x, dot.y, DOT, 0, 2 * Math.PI);
  if (dot.colour === null) {
    pen.strokeStyle = ink("faint");
    pen.stroke();
    return;
  }
  pen.globalAlpha = 0.8;
  pen.fillStyle = dot.colour.startsWith("rgb") ? dot.colour : ink(dot.colour);
  pen.fill();
  pen.globalAlpha = 1;
}

function drawChosen(pen, laid, dot, ink) {
  pen.strokeStyle = ink("ink");
  pen.lineWidth = 1.5;
  if (dot.lower !== null && dot.upper !== null) {
    const [left, right] = [laid.x(dot.lower), laid.x(dot.upper)];
    pen.beginPath();
    pen.moveTo(left, dot.y); pen.lineTo(right, dot.y);
    for (const end of [left, right]) { pen.moveTo(end, dot.y - 5); pen.lineTo(end, dot.y + 5); }
    pen.stroke();
  }
  pen.beginPath();
  pen.arc(dot.x, dot.y, DOT + 3, 0, 2 * Math.PI);
  pen.stroke();
  pen.lineWidth = 1;
}
