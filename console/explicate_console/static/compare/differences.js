// How two answers differ, part by part: pure functions of the pairs that pairing.js makes.
//
// The half width of a difference holds at the confidence of the two intervals. Where the two estimates are independent
// their variances add, so it is sqrt(a² + b²). Where they are not, or one side is a sum of parts whose errors may go
// together, only the bound a + b is sure.

const ROUNDING = 1e-6; // of the largest value: models compute in float32, and no smaller difference is one

/**
 * What every pair adds on both sides, and how far the sides are apart; the farthest first, then parts of one side alone.
 * @param {object[]} pairs as pairItems gives them
 * @param {{independent?: boolean, sign?: 1|-1, told?: Map<number, object>|null}} how independent: whether the estimates are;
 *   sign: 1 for right minus left, -1 for left minus right; told: differences that were estimated themselves, by the place of the pair
 * @returns {object[]} the pairs with {nth, of, valueLeft, halfLeft, valueRight, halfRight, difference, half, beyond}; beyond: whether
 *   chance does not explain the difference, null where that is not known
 */
export function differences(pairs, { independent = true, sign = 1, told = null } = {}) {
  const sums = numbered(pairs).map((pair) => ({ ...pair, ...sides(pair) }));
  const rounding = ROUNDING * Math.max(0, ...sums.flatMap((each) => [size(each.valueLeft), size(each.valueRight)]));
  const full = sums.map((each, place) => {
    const apart = told?.get(place) ?? apartOf(each, independent, sign);
    return { ...each, ...apart, beyond: beyond(apart, rounding) };
  });
  return full.sort((one, other) => rank(other) - rank(one) || weight(other) - weight(one));
}

/** With {nth, of}: which of the pairs of one name each is, in reading order. */
function numbered(pairs) {
  const named = new Map();
  for (const pair of pairs) named.set(pair.name, [...(named.get(pair.name) ?? []), pair]);
  return pairs.map((pair) => ({ ...pair, nth: named.get(pair.name).indexOf(pair) + 1, of: named.get(pair.name).length }));
}

/** The value and half width of a side: of several items the sum, whose errors may go together. */
export function sideOf(items) {
  if (!items.length) return { value: null, half: null };
  const value = items.every((item) => isNumber(item.value)) ? total(items.map((item) => item.value)) : null;
  const halves = items.map(halfWidth);
  return { value, half: halves.every(isNumber) ? total(halves) : null };
}

/** Half the width of an item's interval, 0 for an exact one, null where there is none. */
export function halfWidth(item) {
  return isNumber(item.lower) && isNumber(item.upper) ? Math.max(0, (item.upper - item.lower) / 2) : null;
}

/** The half width of a difference of two estimates with these half widths. */
export function halfOfDifference(left, right, independent = true) {
  if (!isNumber(left) || !isNumber(right)) return null;
  return independent ? Math.hypot(left, right) : left + right;
}

function sides(pair) {
  const left = sideOf(pair.left);
  const right = sideOf(pair.right);
  return { valueLeft: left.value, halfLeft: left.half, valueRight: right.value, halfRight: right.half };
}

function apartOf(each, independent, sign) {
  if (!isNumber(each.valueLeft) || !isNumber(each.valueRight)) return { difference: null, half: null };
  return { difference: sign * (each.valueRight - each.valueLeft), half: halfOfDifference(each.halfLeft, each.halfRight, independent) };
}

function beyond({ difference, half }, rounding) {
  if (!isNumber(difference)) return null;
  if (Math.abs(difference) <= rounding) return false;
  return isNumber(half) ? Math.abs(difference) > half : null;
}

const rank = (each) => Number(isNumber(each.difference));
const weight = (each) => (isNumber(each.difference) ? Math.abs(each.difference) : Math.max(size(each.valueLeft), size(each.valueRight)));
const size = (value) => (isNumber(value) ? Math.abs(value) : 0);
const total = (values) => values.reduce((sum, value) => sum + value, 0);
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** The differences that a contrast estimated itself, by the place of the pair; null unless every pair has one. */
export function toldBy(contrast, pairs) {
  const byName = new Map(contrast.items.map((item) => [identity(item), item]));
  const told = new Map();
  pairs.forEach((pair, place) => {
    const items = pair.left.map((item) => byName.get(identity(item))).filter(Boolean);
    if (items.length && items.length === pair.left.length) {
      const { value, half } = sideOf(items);
      told.set(place, { difference: value, half });
    }
  });
  return told.size === pairs.length ? told : null;
}

const identity = (item) => `${item.place} ${item.name}`;

/** How many pairs differ beyond chance, within it, cannot be told, or are on one side alone. */
export function tally(rows) {
  const count = { beyond: 0, within: 0, unknown: 0, leftOnly: 0, rightOnly: 0 };
  for (const row of rows) {
    if (!row.left.length) count.rightOnly += 1;
    else if (!row.right.length) count.leftOnly += 1;
    else if (row.beyond === null) count.unknown += 1;
    else count[row.beyond ? "beyond" : "within"] += 1;
  }
  return count;
}

/**
 * How far the two sides name the same parts as those that weigh most.
 * @returns {{top: number, shared: number, both: number, sameSign: number, rank: number|null}} top: how many were looked at;
 *   shared: of those, how many are among the other side's too; both: pairs with two values; sameSign: of those, how many
 *   push the same way; rank: Spearman correlation of their values, null for fewer than three or all alike
 */
export function agreement(rows, top = 5) {
  const both = rows.filter((row) => isNumber(row.valueLeft) && isNumber(row.valueRight));
  const [left, right] = ["valueLeft", "valueRight"].map((name) => heaviest(rows, name, top));
  return {
    top: Math.max(left.length, right.length),
    shared: left.filter((row) => right.includes(row)).length,
    both: both.length,
    sameSign: both.filter((row) => Math.sign(row.valueLeft) === Math.sign(row.valueRight)).length,
    rank: spearman(both.map((row) => row.valueLeft), both.map((row) => row.valueRight)),
  };
}

function heaviest(rows, name, top) {
  return rows.filter((row) => size(row[name]) > 0).sort((one, other) => size(other[name]) - size(one[name])).slice(0, top);
}

/** Spearman's rank correlation, ties taking their mean rank; null for fewer than three pairs or a constant side. */
export function spearman(left, right) {
  if (left.length < 3) return null;
  const [a, b] = [ranks(left), ranks(right)];
  const middle = (left.length + 1) / 2;
  const product = (one, other) => total(one.map((value, place) => (value - middle) * (other[place] - middle)));
  const spread = Math.sqrt(product(a, a) * product(b, b));
  return spread > 0 ? product(a, b) / spread : null;
}

function ranks(values) {
  const order = values.map((value, place) => [value, place]).sort(([one], [other]) => one - other);
  const found = new Array(values.length);
  for (let first = 0; first < order.length;) {
    let last = first;
    while (last + 1 < order.length && order[last + 1][0] === order[first][0]) last += 1;
    for (let each = first; each <= last; each += 1) found[order[each][1]] = (first + last) / 2 + 1;
    first = last + 1;
  }
  return found;
}
