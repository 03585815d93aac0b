// Scales, ticks and orders that the marks share; without a page, so that they can be tested alone.

/** What is smaller is the rounding of float32 sums: it is drawn as nothing. */
export const NOTHING = 1e-9;

/** The extent of items with their intervals and 0, as [low, high] with low <= 0 <= high and low < high. */
export function extent(items) {
  let [low, high] = [0, 0];
  for (const { value, lower, upper } of items) {
    for (const each of [value, lower, upper]) {
      if (typeof each === "number" && Number.isFinite(each)) [low, high] = [Math.min(low, each), Math.max(high, each)];
    }
  }
  return high - low < NOTHING ? [-1, 1] : [low, high];
}

const ROUND = [1, 2, 5, 10];

/** Round numbers from low to high, about `wanted` of them, 0 among them if it lies between. */
export function ticks(low, high, wanted = 5) {
  const rough = (high - low) / Math.max(wanted, 1);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ROUND.map((each) => each * power).reduce((one, other) => (Math.abs(Math.log(one / rough)) <= Math.abs(Math.log(other / rough)) ? one : other));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(Number((i * step).toPrecision(12)) + 0);
  return found;
}

/** A tick's text, as short as it is exact. */
export function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-5)) return value.toExponential().replace("e+", "e");
  return String(value);
}

/** A function from values to percent of a track from low to high, with a margin at both ends for marks at the edge. */
export function scale([low, high], margin = 3) {
  return (value) => margin + ((100 - 2 * margin) * (Math.min(Math.max(value, low), high) - low)) / (high - low);
}

/** The largest absolute value, for the strength of colours; 1 when there is none above 0. */
export function largest(items) {
  let size = 0;
  for (const { value } of items) if (Number.isFinite(value)) size = Math.max(size, Math.abs(value));
  return size < NOTHING ? 1 : size;
}

const size = ({ value }) => (typeof value === "number" ? Math.abs(value) : -1);

/** Places of the items, the largest by size first; equal ones as they come. */
export function placesBySize(items) {
  return items.map((_, place) => place).sort((one, other) => size(items[other]) - size(items[one]) || one - other);
}

/** "raises", "lowers" or "nothing": what a value does to the output. */
export function direction(value) {
  return value > 0 ? "raises" : value < 0 ? "lowers" : "nothing";
}

/** "sure" where the sign is known, or the value exactly; "unsure" where the interval holds 0; "unknown" without one. */
export function doubt(item) {
  if (!item.hasInterval) return "unknown";
  return item.certain || item.lower === item.upper ? "sure" : "unsure";
}

/** The items as steps from the baseline, in the order of `places`: [{item, from, to}], the rest of them as one. */
export function steps(output, places, top) {
  const shown = places.slice(0, top);
  const rest = places.slice(top);
  let at = output.baseline;
  const found = shown.map((place) => {
    const item = output.items[place];
    const from = at;
    at += item.value ?? 0;
    return { item, from, to: at };
  });
  if (rest.length) {
    const value = rest.reduce((sum, place) => sum + (output.items[place].value ?? 0), 0);
    found.push({ rest: rest.length, value, from: at, to: at + value });
    at += value;
  }
  return { steps: found, end: at };
}

/** The start of a text, not cut within a character; and whether that is all of it. */
export function begun(text, most) {
  if (text.length <= most) return [text, true];
  const cut = text.slice(0, most).replace(/[\uD800-\uDBFF]$/, "");
  return [cut.replace(/[\p{M}\u200D]+$/u, ""), false];
}
