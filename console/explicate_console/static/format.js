// Numbers as every view of Explicate writes them: the same texts as clients/python/explicate/views/amounts.py.

const MOST_DECIMALS = 6; // of probabilities and logits, which float32 models know no finer
const EXACT_DIGITS = 60; // enough to see whether a float lies exactly between two shorter decimals
const DASH = "–";
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

const known = (value) => typeof value === "number" && !Number.isNaN(value);

/** The value with `digits` significant digits, half to even as Python rounds: {digits: "123", exponent: 0} is 1.23. */
function significant(value, digits) {
  const [mantissa, exponent] = Math.abs(value).toExponential(EXACT_DIGITS).split("e");
  const all = mantissa.replace(".", "");
  const kept = all.slice(0, digits);
  const rest = all.slice(digits);
  const half = `5${"0".repeat(rest.length - 1)}`;
  const up = rest > half || (rest === half && Number(kept.at(-1) ?? 0) % 2 === 1);
  const rounded = String(BigInt(kept || "0") + (up ? 1n : 0n)).padStart(digits, "0");
  const carried = rounded.length > digits;
  return { digits: carried && digits > 0 ? rounded.slice(0, digits) : rounded, exponent: Number(exponent) + (carried ? 1 : 0) };
}

/** The absolute value with so many decimals. */
function fixed(value, decimals) {
  if (!Number.isFinite(value)) return "inf";
  const size = Math.abs(value);
  if (size >= Number.MAX_SAFE_INTEGER) return `${BigInt(size)}${decimals ? `.${"0".repeat(decimals)}` : ""}`;
  const exponent = size === 0 ? 0 : Number(size.toExponential().split("e")[1]);
  const wanted = exponent + decimals + 1; // significant digits
  if (size === 0 || wanted < 0 || (wanted === 0 && significant(size, 0).digits === "0")) return (0).toFixed(decimals);
  const rounded = significant(size, wanted);
  const whole = rounded.digits.padEnd(Math.max(rounded.exponent + 1 + decimals, 1), "0").padStart(decimals + 1, "0");
  return decimals ? `${whole.slice(0, -decimals)}.${whole.slice(-decimals)}` : whole;
}

const isNegative = (value) => value < 0 || Object.is(value, -0);

/** A signed attribution such as "+0.123", or a dash for what is not known. */
export function number(value, decimals = 3) {
  return known(value) ? `${isNegative(value) ? "-" : "+"}${fixed(value, decimals)}` : DASH;
}

/** A figure such as "0.123", or a dash for what is not known. */
export function plainNumber(value, decimals = 3) {
  return known(value) ? `${isNegative(value) ? "-" : ""}${fixed(value, decimals)}` : DASH;
}

/** The half-width of the interval of an item {lower, upper}: "± 0.012", "exact" for 0, or nothing when it is not known. */
export function halfWidth(item, decimals = 3) {
  if (!known(item.lower) || !known(item.upper)) return "";
  const half = (item.upper - item.lower) / 2;
  return half > 0 ? `± ${fixed(half, decimals)}` : "exact";
}

/** The ends of an item's interval, such as "+0.010 to +0.034". */
export function interval(item, decimals = 3) {
  return `${number(item.lower, decimals)} to ${number(item.upper, decimals)}`;
}

/** The decimals with which `value` shows `digits` significant digits; none for what is larger. */
export function decimalsFor(value, digits) {
  const size = value && Number.isFinite(value) ? Math.floor(Math.log10(Math.abs(value))) : 0;
  return Math.min(Math.max(digits - 1 - size, 0), 12);
}

/** How many decimals the figures of an explanation have, by all its values and its space ("probability", "logit", "value"). */
export function decimalsOf(values, space) {
  let largest = 0;
  for (const value of values) if (known(value) && Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  if (space === "value") return decimalsFor(largest, 3);
  return Math.min(Math.max(decimalsFor(largest, 2), 3), MOST_DECIMALS);
}

/** A value of a column: "34", "clerk", "missing". */
export function cell(value) {
  if (value === null || value === undefined) return "missing";
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "nan";
  const sign = isNegative(value) ? "-" : "";
  const size = Math.abs(value);
  return sign + (size >= 1e6 && size < 1e15 ? fixed(value, 0) : general(size, 6));
}

/** As Python's format "g" has it. */
function general(size, digits) {
  if (size === 0) return "0";
  if (!Number.isFinite(size)) return "inf";
  const rounded = significant(size, digits);
  const kept = rounded.digits.replace(/0+$/, "") || "0";
  const { exponent } = rounded;
  if (exponent < -4 || exponent >= digits) {
    const fraction = kept.length > 1 ? `.${kept.slice(1)}` : "";
    return `${kept[0]}${fraction}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${kept}`;
  const whole = kept.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return kept.length > exponent + 1 ? `${whole}.${kept.slice(exponent + 1)}` : whole;
}

/** The value of a regression, or an output, with as many digits as matter: four. */
export function valueText(value) {
  return known(value) ? plainNumber(value, decimalsFor(value, 4)) : DASH;
}

/** A probability as a share: "59.4%"; what is not quite nothing or all does not read as that. */
export function share(probability) {
  if (!known(probability)) return DASH;
  if (probability > 0 && probability < 0.0005) return "<0.1%";
  if (probability < 1 && probability >= 0.9995) return ">99.9%";
  return `${fixed(100 * probability, probability === 0 || probability === 1 ? 0 : 1)}%`;
}

/** A count with commas between thousands, as the command line has it: "12,345". Takes int64 of protojson, which are texts. */
export function count(value) {
  const given = Number(value);
  if (value === null || value === undefined || value === "" || !Number.isFinite(given)) return DASH;
  return String(Math.trunc(given)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A size in bytes: "532 B", "12.3 kB", "1.2 MB". */
export function bytes(value) {
  let size = Number(value);
  if (value === null || value === undefined || !Number.isFinite(size)) return DASH;
  let unit = 0;
  for (; size >= 999.95 && unit < UNITS.length - 1; unit += 1) size /= 1000;
  return `${fixed(size, unit && size < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
}

/** A time span: "8 ms", "0.23 s", "12.4 s", "3 min 20 s", "2 h 5 min". */
export function seconds(value) {
  const span = Number(value);
  if (value === null || value === undefined || !Number.isFinite(span)) return DASH;
  if (span < 0.0995) return span > 0 && span < 0.0005 ? "<1 ms" : `${fixed(1000 * span, 0)} ms`;
  if (span < 9.995) return `${fixed(span, 2)} s`;
  if (span < 59.95) return `${fixed(span, 1)} s`;
  const whole = Math.round(span);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A time as servers and their records write it: "2026-11-27 12:34:56 UTC". Takes RFC 3339, a Date, or milliseconds. */
export function when(timestamp) {
  const moment = new Date(timestamp ?? NaN);
  if (Number.isNaN(moment.getTime())) return DASH;
  return `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
