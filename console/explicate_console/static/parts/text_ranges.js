// Ranges of a text that cut no word: where its words are, what a selection means, and what an edit leaves of a range.
// The words are those of explicate_bundle.players.words; places count UTF-16 units, as strings do here.

// Scripts written without spaces between words, in which each character is a word here.
const UNSPACED = ["Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom", "Javanese", "Balinese", "Han",
  "Bopomofo", "Hiragana", "Katakana"].map((script) => `\\p{scx=${script}}`).join("");
const KINDS = [
  ["gap", /^(?:[\t-\r\x1c-\x1f\x85\u2028\u2029]|(?!\ufeff)\s$)/u],
  ["unspaced", new RegExp(`^(?=[${UNSPACED}])(?!\\p{scx=Latin})[\\p{L}\\p{M}\\p{N}\\p{Co}\\p{Cn}]`, "u")],
  ["letter", /^[\p{L}\p{M}\p{N}\p{Co}\p{Cn}]/u],
  ["silent", /^(?:\ufeff|(?![\s\x1c-\x1f\u200b])[\p{Cf}\p{Cc}])/u],
];
const AFTER_LETTER = "(?<=[\\p{L}\\p{N}]\\p{M}*)";
const BEFORE_LETTER = "(?=[\\p{L}\\p{N}])";
const AFTER_LONE = "(?<=(?<![\\p{L}\\p{N}\\p{M}])\\p{L}\\p{M}*)";
const BEFORE_LONE = "(?=\\p{L}\\p{M}*(?![\\p{L}\\p{N}\\p{M}]))";
const JOINER = new RegExp([
  `${AFTER_LETTER}['’\\-\\u2010\\u2011\\u00b7\\u0387\\u2027\\u05be\\u05f3\\u05f4\\u058a]${BEFORE_LETTER}`,
  "(?<=\\p{Nd}\\p{M}*)[.,:/\\u2044\\u066b\\u066c](?=\\p{Nd})",
  `${AFTER_LONE}\\.${BEFORE_LONE}`, `${AFTER_LONE}&${BEFORE_LETTER}`, `${AFTER_LETTER}&${BEFORE_LONE}`,
  '(?<=\\p{Script=Hebrew}\\p{M}*)"(?=\\p{Script=Hebrew})',
].join("|"), "uy");

const clusters = new Intl.Segmenter("en", { granularity: "grapheme" });

function kindOf(cluster) {
  return KINDS.find(([, pattern]) => pattern.test(cluster))?.[0] ?? "mark";
}

function joins(text, at) {
  JOINER.lastIndex = at;
  return JOINER.test(text);
}

/**
 * The words of a text in order, each with the punctuation that touches it: [{start, end, first, last}]. From `first` to
 * `last` are its letters and digits; those of a word without any are the whole of it.
 */
export function words(text) {
  const found = [];
  let word = null; // the one that may still grow
  for (const { segment, index } of clusters.segment(text)) {
    const end = index + segment.length;
    const kind = kindOf(segment);
    const grows = word && { gap: false, unspaced: word.state === "before", letter: word.state === "before" || word.state === "letters", silent: true, mark: true }[kind];
    if (!grows) {
      word = null;
      if (kind === "gap") continue;
      word = { start: index, end, first: -1, last: -1, state: "before" };
      found.push(word);
    }
    word.end = end;
    if (kind === "unspaced" || kind === "letter") {
      if (word.first < 0) word.first = index;
      word.last = end;
      word.state = kind === "letter" ? "letters" : "after";
    } else if (word.state === "letters" && kind !== "silent" && !joins(text, index)) word.state = "after";
  }
  return found.map(({ start, end, first, last }) => (first < 0 ? { start, end, first: start, last: end } : { start, end, first, last }));
}

/** The range of whole words that a selection touches, without the punctuation around them, or null where it has none. */
export function snapped(text, start, end) {
  const touched = words(text).filter((word) => word.first < end && start < word.last);
  return touched.length ? { start: touched[0].first, end: touched.at(-1).last } : null;
}

/** The place of a UTF-16 unit in code points. */
export const codePoint = (text, place) => [...text.slice(0, place)].length;

/** The first place where two texts differ, and how much they share at the end after it; never within a surrogate pair. */
function sharedEnds(one, other) {
  const most = Math.min(one.length, other.length);
  let start = 0;
  while (start < most && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < most - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  return { start, end };
}

/** Where a range of a text lies after an edit, or null where its words are no longer the same. */
export function rangeAfter(range, before, after) {
  const shared = sharedEnds(before, after);
  const moved = range.end <= shared.start ? 0 : range.start >= before.length - shared.end ? after.length - before.length : null;
  // What was typed may be a repetition of what was there: then the range may also lie where it did.
  const places = [moved, 0, after.length - before.length].filter((each) => each !== null);
  for (const by of places) {
    const now = { start: range.start + by, end: range.end + by };
    if (after.slice(now.start, now.end) === before.slice(range.start, range.end) && now.start >= 0 && isWhole(after, now)) return now;
  }
  return null;
}

/** Whether a range begins and ends with whole words. */
export function isWhole(text, { start, end }) {
  const found = snapped(text, start, end);
  return found !== null && found.start === start && found.end === end;
}
