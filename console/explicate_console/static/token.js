// The token of this browser tab: in sessionStorage, so never in an address and gone with the tab.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { refreshServer } from "/static/server.js";

const KEY = "explicate-token";

export const token = () => sessionStorage.getItem(KEY) ?? "";

/** The button of the heading that takes a token, or forgets it. */
export function Token() {
  const [open, setOpen] = useState(false);
  const [held, setHeld] = useState(token() !== "");
  const save = (event) => {
    event.preventDefault();
    const given = event.target.elements.token.value.trim();
    if (given) sessionStorage.setItem(KEY, given);
    else sessionStorage.removeItem(KEY);
    setHeld(given !== "");
    setOpen(false);
    refreshServer();
  };
  return html`<div class="token">
    <button aria-expanded=${open} onClick=${() => setOpen(!open)}>${held ? "Token held" : "Token"}</button>
    ${open && html`<form class="popover" onSubmit=${save}>
      <label>Token for this server<input name="token" type="password" autocomplete="off" autofocus /></label>
      <p class="quiet">Kept in this tab alone, until it closes. Empty forgets it.</p>
      <button class="primary">Use it</button></form>`}
  </div>`;
}
