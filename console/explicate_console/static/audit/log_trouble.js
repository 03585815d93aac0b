// Why the log is not shown, and what to do about it.
import { html } from "/static/vendor/htm-preact-standalone.js";

/** The notice for a LogError; again: what its button does. */
export function LogTrouble({ error, again }) {
  if (error.reason === "no_log") {
    return html`<div class="notice audit-none" role="status">
      <p>This console was started without the server's audit log. Let the server write one, and give it to the console:</p>
      <pre><code>explicate serve --repository REPOSITORY --audit-log audit.jsonl
explicate console --audit audit.jsonl</code></pre>
      <p class="quiet">Requests that were answered before are in no log, and cannot be looked up.</p></div>`;
  }
  return html`<div class="notice bad" role="alert"><p dir="auto">${error.message}</p>
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}</div>`;
}
