// What explanation methods are, a sentence each: the glossary's, of which a form that opens first wants no more.
import { loadWords } from "/static/word_file.js";

const { method = {} } = await loadWords("method");

/** A method in a sentence. */
export const methodSentence = (name) => (Object.hasOwn(method, name) ? method[name].says : "A method of this server.");
