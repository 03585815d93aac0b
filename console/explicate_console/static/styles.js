// Style sheets of pages and marks, each loaded when it is needed first.
const loaded = new Map();

/** Add a style sheet once, such as "/static/pages/try.css"; resolves when it holds, or could not be loaded. */
export function useStyle(address) {
  if (!loaded.has(address)) {
    loaded.set(address, new Promise((resolve) => {
      const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address });
      link.addEventListener("load", resolve);
      link.addEventListener("error", resolve);
      document.head.append(link);
    }));
  }
  return loaded.get(address);
}

/** Let the sheets of /static/pages/ hold on their own page only: some of their rules are of bare elements. */
export function showPage(path) {
  for (const link of document.querySelectorAll('link[href^="/static/pages/"]')) {
    if (link.sheet) link.sheet.disabled = !link.href.endsWith(`/${path}.css`);
  }
}
