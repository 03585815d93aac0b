// The state of the page as its address has it: the folder, what is chosen of it, and how it is looked at.

const TEXTS = ["filter", "search", "sort", "class", "slice", "added", "row"];

/** {folder, filter, search, sort, descending, failed, class, slice, added, row, start} of the address. */
export function readPlace(here) {
  const state = { folder: here.rest[0] ?? "" };
  for (const name of TEXTS) state[name] = here.query.get(name) ?? "";
  state.descending = here.query.get("descending") === "1";
  state.failed = here.query.get("failed") === "1";
  state.start = Math.max(0, Math.trunc(Number(here.query.get("start"))) || 0);
  return state;
}

function address(state) {
  const query = new URLSearchParams();
  for (const name of TEXTS) if (state[name]) query.set(name, state[name]);
  if (state.descending) query.set("descending", "1");
  if (state.failed) query.set("failed", "1");
  if (state.start) query.set("start", String(state.start));
  const told = query.toString();
  return `#/rows${state.folder ? `/${encodeURIComponent(state.folder)}` : ""}${told ? `?${told}` : ""}`;
}

/** A function go(changes) that moves to the place with these changes; the back button leads back. */
export function goer(state) {
  return (changes) => {
    const restarts = ["filter", "search", "sort", "descending", "failed"].some((name) => name in changes);
    location.hash = address({ ...state, ...(restarts ? { start: 0 } : {}), ...changes });
  };
}
