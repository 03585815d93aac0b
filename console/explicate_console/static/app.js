// The page: a heading with its places, and the place that the address names (#/try, #/models/reviews, ...).
import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { useServer } from "/static/server.js";
import { showPage } from "/static/styles.js";
import { Token } from "/static/token.js";

// Each place is loaded when it is opened first.
const PLACES = [
  { path: "try", title: "Try", load: () => import("/static/pages/try.js") },
  { path: "compare", title: "Compare", load: () => import("/static/pages/compare.js") },
  { path: "models", title: "Models", load: () => import("/static/pages/models.js") },
  { path: "rows", title: "Rows", load: () => import("/static/pages/rows.js") },
  { path: "audit", title: "Audit", load: () => import("/static/pages/audit.js") },
];

/** {path, rest, query} of the address: "#/models/reviews?version=2" is "models", ["reviews"], URLSearchParams. */
export function place(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first, ...rest] = path.split("/").map(decodeURIComponent);
  return { path: first || "try", rest, query: new URLSearchParams(query) };
}

function usePlace() {
  const [here, setHere] = useState(place());
  useEffect(() => {
    const moved = () => setHere(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return here;
}

function Page({ here }) {
  const known = PLACES.find((each) => each.path === here.path);
  const [loaded, setLoaded] = useState({});
  useEffect(() => {
    document.title = `${known?.title ?? "Not found"} · Explicate`;
    known?.load().then((module) => setLoaded({ path: known.path, Page: module.default }));
  }, [known]);
  useLayoutEffect(() => { if (loaded.path) showPage(loaded.path); }, [loaded.path]);
  const [error, forget] = useErrorBoundary();
  if (error) {
    return html`<div class="notice bad" role="alert"><p>This page stopped: ${String(error.message ?? error)}</p>
      <button onClick=${forget}>Try again</button></div>`;
  }
  if (!known) return html`<p>There is no page of this name. <a href="#/try">Go to Try</a></p>`;
  return loaded.path === known.path ? html`<${loaded.Page} here=${here} />` : html`<p class="quiet" aria-busy="true">Loading</p>`;
}

function Console() {
  const here = usePlace();
  const server = useServer();
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector("main").focus(); }}>Skip to content</a>
    <header class="bar-top">
      <a class="brand" href="#/try"><img src="/static/icon.svg" alt="" width="20" height="20" />Explicate</a>
      <nav aria-label="Pages">${PLACES.map((each) => html`
        <a href=${`#/${each.path}`} aria-current=${each.path === here.path ? "page" : undefined}>${each.title}</a>`)}
      </nav>
      <${Token} />
    </header>
    ${server.trouble && html`<p class="notice bad" role="status">${server.trouble}</p>`}
    <main tabindex="-1"><${Page} here=${here} key=${here.path} /></main>`;
}

render(html`<${Console} />`, document.getElementById("console"));
