// A component whose module is loaded when it is drawn first, so that a page opens without what few visitors open.
import { html, useEffect, useState } from "/static/vendor/htm-preact-standalone.js";

const loaded = new Map();

/** The default export of `module` with all other props; a line that says so until it is there. */
export function Later({ module, ...props }) {
  const [, setArrived] = useState("");
  useEffect(() => {
    let gone = false;
    import(module).then((found) => { loaded.set(module, found.default); if (!gone) setArrived(module); });
    return () => { gone = true; };
  }, [module]);
  const Component = loaded.get(module);
  return Component ? html`<${Component} ...${props} />` : html`<p class="quiet" aria-busy="true">Loading</p>`;
}
