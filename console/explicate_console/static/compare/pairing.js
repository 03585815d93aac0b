// Which part of one answer belongs to which part of another: columns by name, words by their place, or aligned.
//
// A part is an item of an answer, see answers.js. A pair is {name, nameRight, left: [items], right: [items], changed}:
// an empty side has no such part, and a side with several items was cut finer there.

const MOST_CELLS = 16e6; // of the table that aligns two texts; longer ones are paired word by word as they occur

/**
 * The parts of two answers in pairs, in reading order.
 * @param {{kind: string, items: object[], map?: object}} left
 * @param {{kind: string, items: object[], map?: object}} right
 * @param {{sameInput: boolean}} how whether both explain the same input
 * @returns {{pairs: object[], why: string}} `why` says why nothing could be paired, or is empty
 */
export function pairItems(left, right, { sameInput }) {
  if (family(left.kind) !== family(right.kind)) {
    return { pairs: [], why: "The two sides explain different kinds of input, so their parts cannot be paired." };
  }
  if (family(left.kind) === "row") return { pairs: byKey(left.items, right.items, (item) => item.name), why: "" };
  if (left.kind === "image") return bySegment(left, right, sameInput);
  return { pairs: sameInput ? byOverlap(left.items, right.items) : byAlignment(left.items, right.items), why: "" };
}

function family(kind) {
  return kind === "pair" ? "text" : kind;
}

function pair(left, right, changed = false) {
  const shorter = right.length && (!left.length || right.length < left.length) ? right : left;
  const name = nameOf(changed ? left : shorter);
  return { name, nameRight: changed ? nameOf(right) : name, left, right, changed };
}

function nameOf(items) {
  return items.map((item) => item.name).join(" + ");
}

function byKey(left, right, key) {
  const others = new Map(right.map((item) => [key(item), item]));
  const pairs = left.map((item) => {
    const other = others.get(key(item));
    others.delete(key(item));
    return pair([item], other ? [other] : []);
  });
  return [...pairs, ...[...others.values()].map((item) => pair([], [item]))];
}

function bySegment(left, right, sameInput) {
  if (!sameInput) {
    return { pairs: [], why: "Two images are cut into segments of their own, so there are no pairs. Look at the two overlays." };
  }
  const alike = left.items.length === right.items.length && sameMap(left.map, right.map);
  if (!alike) return { pairs: [], why: "The two sides cut the image differently, so their segments cannot be paired." };
  return { pairs: byKey(left.items, right.items, (item) => item.segment?.id ?? item.name), why: "" };
}

function sameMap(left, right) {
  if (!left || !right || left.width !== right.width || left.height !== right.height) return false;
  return left.places.every((place, pixel) => place === right.places[pixel]);
}

/** Parts of one text whose characters overlap, such as a word on the left and its tokens on the right. */
function byOverlap(left, right) {
  const spans = [...left.map((item) => [item, 0]), ...right.map((item) => [item, 1])].flatMap(([item, side], part) =>
    (item.spans ?? []).map((span) => ({ ...span, text: Number(span.inPair ?? item.inPair ?? false), part, side, item })));
  spans.sort((one, other) => one.text - other.text || one.start - other.start);
  const parent = new Int32Array(left.length + right.length).map((_, part) => part);
  const root = (part) => {
    while (parent[part] !== part) part = parent[part] = parent[parent[part]];
    return part;
  };
  let open = [];
  for (const span of spans) {
    open = open.filter((each) => each.text === span.text && each.end > span.start);
    open.forEach((each) => { parent[root(each.part)] = root(span.part); });
    open.push(span);
  }
  const groups = new Map();
  for (const { item, part, side } of spans) {
    const group = groups.get(root(part)) ?? [new Set(), new Set()];
    group[side].add(item);
    groups.set(root(part), group);
  }
  return [...groups.values()].map(([lefts, rights]) => pair([...lefts], [...rights]));
}

/** Words of two texts, aligned as a comparison of files aligns lines; as many words in place of others are changed ones. */
function byAlignment(left, right) {
  const pairs = [];
  for (const inPair of [false, true]) {
    const of = (items) => items.filter((item) => Boolean(item.inPair ?? item.spans?.[0]?.inPair) === inPair);
    pairs.push(...align(of(left), of(right)));
  }
  return pairs;
}

function align(left, right) {
  let start = 0;
  while (start < Math.min(left.length, right.length) && left[start].name === right[start].name) start += 1;
  let end = 0;
  while (end < Math.min(left.length, right.length) - start && left.at(-1 - end).name === right.at(-1 - end).name) end += 1;
  const [middle, others] = [left, right].map((items) => items.slice(start, items.length - end));
  const inside = middle.length * others.length > MOST_CELLS ? byOccurrence(middle, others) : common(middle, others);
  const same = (from, to) => left.slice(from, to).map((item, place) => pair([item], [right[from + place]]));
  const tail = right.length - left.length;
  const last = left.slice(left.length - end).map((item, place) => pair([item], [right[left.length - end + tail + place]]));
  return [...same(0, start), ...inside, ...last];
}

function common(left, right) {
  const width = right.length + 1;
  const longest = new Uint16Array((left.length + 1) * width); // of the ends from here on
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      const skipped = Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
      longest[i * width + j] = left[i].name === right[j].name ? longest[(i + 1) * width + j + 1] + 1 : skipped;
    }
  }
  const pairs = [];
  let [gone, come] = [[], []];
  const close = () => {
    pairs.push(...replaced(gone, come));
    [gone, come] = [[], []];
  };
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i].name === right[j].name) {
      close();
      pairs.push(pair([left[i]], [right[j]]));
      [i, j] = [i + 1, j + 1];
    } else if (j >= right.length || (i < left.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      gone.push(left[i]);
      i += 1;
    } else {
      come.push(right[j]);
      j += 1;
    }
  }
  close();
  return pairs;
}

function replaced(gone, come) {
  if (gone.length === come.length) return gone.map((item, place) => pair([item], [come[place]], true));
  return [...gone.map((item) => pair([item], [])), ...come.map((item) => pair([], [item]))];
}

function byOccurrence(left, right) {
  const numbered = (items) => {
    const seen = new Map();
    return items.map((item) => {
      seen.set(item.name, (seen.get(item.name) ?? 0) + 1);
      return { item, key: `${seen.get(item.name)} ${item.name}` };
    });
  };
  return byKey(numbered(left), numbered(right), (each) => each.key).map((each) =>
    pair(each.left.map(({ item }) => item), each.right.map(({ item }) => item)));
}
