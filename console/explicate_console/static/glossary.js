// What the words on pages mean: the glossary that the console serves, in groups such as "method" and "not".

const PATIENCE_MS = 1500; // before a page goes on without it

async function load() {
  const answer = await fetch("/words.json", { signal: AbortSignal.timeout(PATIENCE_MS) });
  return answer.ok ? answer.json() : {};
}

// Loaded before whatever imports this, so that no page moves when its words come.
const words = await load().catch(() => ({}));

/** The {title, says} of a group's word, such as term("method", "lime"); undefined where the glossary has none. */
export function term(group, name) {
  return Object.hasOwn(words, group) && Object.hasOwn(words[group], name) ? words[group][name] : undefined;
}

/** The names of a group's words, such as names("method"). */
export const names = (group) => Object.keys(words[group] ?? {});
