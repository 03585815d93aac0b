// What the words on pages mean: the glossary that the console serves, in groups such as "method" and "not".
import { useEffect, useState } from "/static/vendor/htm-preact-standalone.js";

let asked = null;
let known = {};

async function load() {
  const answer = await fetch("/words.json").catch(() => null);
  known = answer?.ok ? await answer.json().catch(() => ({})) : {};
  return known;
}

/** A function from group and name to {title, says}; to undefined where the glossary has none, or is not here yet. */
export function useGlossary() {
  const [words, setWords] = useState(known);
  useEffect(() => { (asked ??= load()).then(setWords); }, []);
  return (group, name) => (Object.hasOwn(words, group) && Object.hasOwn(words[group], name) ? words[group][name] : undefined);
}
