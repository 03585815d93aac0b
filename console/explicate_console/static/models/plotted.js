// Plots of a metric as drawings and tables need them: numbers of protojson read, axes, and words. Pure functions.
import { begun, tickText, ticks } from "../marks/scales.js";
import { endsOf, numberOf, written } from "./measured.js";

const MOST_WORDS = 80; // characters of a title that is part of a longer sentence

/**
 * A plot of protojson as {title, x, y, lines, bins, marks, across, up}: points {x, y, lower, upper}, bins {lower, upper,
 * count}, and the axes as {from, to, ticks}. What is no number is left out; null where nothing is left to draw.
 */
export function readPlot(plot) {
  const lines = (plot.lines ?? []).map(readLine).filter((line) => line.points.length);
  const bins = (plot.bins ?? []).map((bin) => ({ lower: numberOf(bin.lower), upper: numberOf(bin.upper), count: bin.count ?? 0 }))
    .filter(({ lower, upper }) => lower !== null && upper !== null && lower < upper);
  const marks = (plot.marks ?? []).map((mark) => ({ name: mark.name ?? "", value: numberOf(mark.value) })).filter(({ value }) => value !== null);
  if (!lines.length && !bins.length) return null;
  return { title: plot.title ?? "", x: plot.x ?? "", y: plot.y ?? "", lines, bins, marks, ...(bins.length ? axesOfBins(bins, marks) : axesOfLines(lines)) };
}

function readLine(line) {
  const points = (line.points ?? []).map((point) => ({
    x: numberOf(point.x),
    y: numberOf(point.y),
    lower: point.interval ? numberOf(point.interval.lower) : null,
    upper: point.interval ? numberOf(point.interval.upper) : null,
  }));
  return { name: line.name ?? "", dashed: Boolean(line.dashed), points: points.filter(({ x, y }) => x !== null && y !== null) };
}

function axesOfLines(lines) {
  const points = lines.flatMap((line) => line.points);
  const heights = points.flatMap(({ y, lower, upper }) => [y, lower, upper]).filter((each) => each !== null);
  const places = points.map(({ x }) => x);
  return { across: axis(Math.min(0, ...places), Math.max(0, ...places)), up: axis(Math.min(0, ...heights), Math.max(0, ...heights)) };
}

function axesOfBins(bins, marks) {
  const [from, to] = [bins[0].lower, Math.max(bins.at(-1).upper, ...marks.map(({ value }) => value))];
  const most = Math.max(1, ...bins.map(({ count }) => count));
  const up = axis(0, most, 4);
  return { across: { from, to, ticks: ticks(from, to, 5) }, up: { ...up, ticks: up.ticks.filter(Number.isInteger) } };
}

/** An axis that begins and ends at a tick, and holds both values. */
function axis(low, high, wanted = 5) {
  const inside = ticks(low, high, wanted);
  if (inside.length < 2) return low < high ? { from: low, to: high, ticks: [low, high] } : { from: low, to: low + 1, ticks: [low, low + 1] };
  const step = inside[1] - inside[0];
  const at = (number) => Number((number * step).toPrecision(12)) + 0;
  const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
  return { from: at(first), to: at(last), ticks: Array.from({ length: last - first + 1 }, (_, place) => at(first + place)) };
}

/** What a plot shows, in a sentence for those who do not see it. */
export function plotWords({ title, x, y, lines, bins, marks }) {
  const of = `${begun(title, MOST_WORDS)[0]}: ${begun(y, MOST_WORDS)[0]} by ${begun(x, MOST_WORDS)[0]}.`;
  if (!bins.length) return `${of} ${lines.map((line) => `${line.name}: from ${written(line.points[0].y)} at ${tickText(line.points[0].x)} to ${written(line.points.at(-1).y)} at ${tickText(line.points.at(-1).x)}`).join("; ")}.`;
  const most = bins.reduce((one, other) => (other.count > one.count ? other : one));
  return `${of} Most, ${most.count}, from ${written(most.lower)} to ${written(most.upper)}.${marks.map(({ name, value }) => ` ${name}: ${written(value)}.`).join("")}`;
}

/** A plot as a table {heads, rows} of texts: a row for each point, or for each step that is not empty. */
export function plotTable({ x, y, lines, bins }, confidence = 0.95) {
  if (bins.length) return { heads: [x, y], rows: bins.filter(({ count }) => count).map((bin) => [endsOf(bin), String(bin.count)]) };
  const rows = lines.flatMap(({ name, points }) => points.map((point) => [name, tickText(point.x), written(point.y), endsOf(point)]));
  return { heads: ["Line", x, y, `${Math.round(confidence * 100)} % interval`], rows };
}
