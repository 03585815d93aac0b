// The glossary's file, which the console serves whole or by group.

const PATIENCE_MS = 1500; // before a page goes on without it

/** Its words by group and name, each {title, says}: of one group, or of all; {} where they do not come. */
export async function loadWords(group = "") {
  try {
    const answer = await fetch(`/words.json${group && `?group=${group}`}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.ok ? await answer.json() : {};
  } catch {
    return {};
  }
}
