// Questions about folders of scored rows, to the console itself: the model's server is not asked.
import { useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { ask, CallError } from "/static/http.js";

/** One question, such as askRows("page", {folder, filter}); failures are CallErrors, with `at`: the character of the filter that is wrong. */
export async function askRows(what, asked, { signal } = {}) {
  const how = asked === null ? { signal } : { signal, method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked) };
  const { response, document } = await ask(`/rows/${what}`, how);
  if (response.ok) return document;
  throw Object.assign(new CallError(document, response.status), { at: document.at ?? null });
}

/**
 * {answer, error, busy} of a question, asked again whenever it changes; null asks nothing. The answer before stays until
 * the next is there, so that nothing moves, and a question that nobody waits for is cut off.
 */
export function useRows(what, asked) {
  const key = asked === null ? "" : JSON.stringify(asked);
  const [told, setTold] = useState({ answer: null, error: null, of: "" });
  useEffect(() => {
    if (!key) { setTold({ answer: null, error: null, of: "" }); return undefined; }
    const cut = new AbortController();
    askRows(what, JSON.parse(key), { signal: cut.signal })
      .then((answer) => { if (!cut.signal.aborted) setTold({ answer, error: null, of: key }); })
      .catch((error) => { if (!cut.signal.aborted) setTold((before) => ({ answer: before.answer, error, of: key })); });
    return () => cut.abort();
  }, [what, key]);
  return { answer: told.answer, error: told.of === key ? told.error : null, busy: key !== "" && told.of !== key };
}

const AGAIN_MS = 10000;

/** {folders, error, refresh}; asks again every 10 s while a run is not finished. */
export function useFolders() {
  const [told, setTold] = useState({ folders: null, error: null });
  const timer = useRef(0);
  const refresh = async () => {
    clearTimeout(timer.current);
    try {
      const { folders } = await askRows("folders", null);
      setTold({ folders, error: null });
      if (folders.some((each) => each.state !== "finished")) timer.current = setTimeout(refresh, AGAIN_MS);
    } catch (error) {
      setTold((before) => ({ ...before, error }));
    }
  };
  useEffect(() => { refresh(); return () => clearTimeout(timer.current); }, []);
  return { ...told, refresh };
}

/** Whether a failure is of the filter, and is said there. */
export const ofFilter = (error) => error.violations?.[0]?.field === "filter";
