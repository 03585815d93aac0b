// What the words on pages mean: the glossary that the console serves, in groups such as "method" and "not".
import { loadWords } from "/static/word_file.js";

// Loaded before whatever imports this, so that no page moves when its words come.
const words = await loadWords();

/** The {title, says} of a group's word, such as term("method", "lime"); undefined where the glossary has none. */
export function term(group, name) {
  return Object.hasOwn(words, group) && Object.hasOwn(words[group], name) ? words[group][name] : undefined;
}

/** The names of a group's words, such as names("method"). */
export const names = (group) => Object.keys(words[group] ?? {});
