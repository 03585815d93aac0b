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
