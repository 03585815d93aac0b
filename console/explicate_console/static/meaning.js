// A term of art whose meaning is one press away: the glossary's sentence, below the word.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { useStyle } from "/static/styles.js";

await useStyle("/static/meaning.css");

const UNKNOWN = "The glossary has no words for it.";

/** A term {title, says} as a whole sentence. */
export function sentenceOf(term) {
  if (!term) return UNKNOWN;
  const text = term.says[0].toUpperCase() + term.says.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/**
 * The word as a button that shows what it means; the glossary is fetched when a word is asked for first.
 * @param {{group: string, name: string, children: unknown}} props the term's place in the glossary, such as "method", "lime"
 */
export default function Meaning({ group, name, children }) {
  const [says, setSays] = useState("");
  async function told(event) {
    if (!event.currentTarget.open) return;
    const { term } = await import("/static/glossary.js");
    setSays(sentenceOf(term(group, name)));
  }
  return html`<details class="meaning" onToggle=${told}><summary>${children}</summary><span class="meaning-says" aria-live="polite">${says}</span></details>`;
}
