// A text in pieces, cut where its parts begin and end and where the model stopped to read; without a page.

/**
 * All of `text`, in order: [{text, start, place, isRead}], place being that of an item, "fixed", or null between parts.
 * Where two spans overlap, the text belongs to the first. read: how many UTF-16 units the model read; null for all.
 */
export function pieces(text, items, fixed, { inPair = false, read = null } = {}) {
  const places = [...items.map((item, place) => [item, place]), ...fixed.map((part) => [part, "fixed"])]
    .flatMap(([part, place]) => part.spans.filter((span) => span.inPair === inPair).map((span) => [span.start, span.end, place]))
    .sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  const seen = read ?? text.length;
  const found = [];
  const add = (start, end, place) => {
    if (start < end) found.push({ text: text.slice(start, end), start, place, isRead: start < seen });
  };
  let done = 0;
  for (const [first, last, place] of [...places, [text.length, text.length, null]]) {
    const start = Math.max(first, done);
    const end = Math.min(last, text.length);
    if (start >= end && place !== null) continue;
    const border = Math.min(Math.max(seen, done), start);
    add(done, border, null);
    add(border, start, null);
    if (place !== null) add(start, end, place);
    done = end;
  }
  return found;
}

/** Pieces of every text of an answer: one list for a text, two for a pair. Without the text itself the parts one by one. */
export function answerPieces(answer, items) {
  const { texts } = answer.input;
  if (!texts.length || texts.every((text) => text === "")) {
    return [items.flatMap((item, place) => [...(place ? [{ text: " ", start: place, place: null, isRead: true }] : []),
      { text: item.name, start: place, place, isRead: true }])];
  }
  const usage = answer.prediction.textUsage;
  return texts.map((text, number) =>
    pieces(text, items, answer.fixed, { inPair: number === 1, read: usage?.truncated ? usage.used[number] : null }));
}
