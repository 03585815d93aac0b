// Changes of models as they happen: WatchModels, and where that ends or is refused, the list that is asked every 5 s.
import { useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { stream } from "/static/api.js";
import { refreshServer } from "/static/server.js";

const WATCH_MS = 3600000;
const AGAIN_MS = 15000;

/**
 * Whether changes are told as they happen now; each of them asks for the list anew. Only while the tab is seen: a browser
 * has six connections to a server for all its tabs.
 */
export function useChanges() {
  const [watching, setWatching] = useState(false);
  useEffect(() => {
    let ending = new AbortController();
    const turn = () => {
      ending.abort();
      ending = new AbortController();
      if (!document.hidden) follow(ending.signal, setWatching);
    };
    turn();
    document.addEventListener("visibilitychange", turn);
    return () => {
      document.removeEventListener("visibilitychange", turn);
      ending.abort();
    };
  }, []);
  return watching;
}

async function follow(signal, setWatching) {
  while (!signal.aborted) {
    try {
      for await (const change of stream("ModelService/WatchModels", {}, { signal, timeoutMs: WATCH_MS })) {
        setWatching(true);
        if (!change.snapshot) refreshServer();
      }
    } catch {
      // The list is asked every 5 s all the same, and says what is wrong with the server.
    }
    if (signal.aborted) return;
    setWatching(false);
    await rest(signal);
  }
}

function rest(signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, AGAIN_MS);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
