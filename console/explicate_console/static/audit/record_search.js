// Looking records up: what is wanted, how far the search is, and what it found, the newest first.
import { html, useEffect, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { LogTrouble } from "/static/audit/log_trouble.js";
import { search } from "/static/audit/log_calls.js";
import { RecordTable } from "/static/audit/record_table.js";
import { WantedForm, wantedOf } from "/static/audit/wanted_form.js";
import { bytes, count, when } from "/static/format.js";
import { token } from "/static/token.js";

const NOTHING = { records: [], bad: 0, torn: false, oldest: "", searched: 0, size: 0, log: "", next: null };

function joined(before, step) {
  return { ...step, records: [...before.records, ...step.records], bad: before.bad + step.bad,
    torn: before.torn || step.torn, oldest: step.oldest || before.oldest };
}

/** A search that runs while it is wanted: {found, busy, error, older, stop, again}. */
function useSearch(wanted) {
  const [found, setFound] = useState(NOTHING);
  const [busy, setBusy] = useState(true);
  const [error, setError] = useState(null);
  const running = useRef(null);
  const run = async (start) => {
    running.current?.abort();
    const mine = new AbortController();
    running.current = mine;
    let so_far = start;
    setFound(start); setBusy(true); setError(null);
    try {
      const from = start.next === null ? null : { before: start.next, log: start.log };
      for await (const step of search(wanted, { from, signal: mine.signal })) {
        if (mine.signal.aborted) return;
        so_far = joined(so_far, step);
        setFound(so_far);
      }
    } catch (failure) {
      if (failure.name !== "AbortError") setError(failure);
    }
    if (running.current === mine) setBusy(false);
  };
  const key = JSON.stringify([wanted, token()]);
  useEffect(() => { run(NOTHING); return () => running.current?.abort(); }, [key]);
  const stop = () => { running.current?.abort(); setBusy(false); };
  return { found, busy, error, stop, older: () => run(found), again: () => run(NOTHING) };
}

/** The page's list: #/audit, with what is wanted in the address: #/audit?model=reviews. */
export function RecordSearch({ here, models }) {
  const wanted = wantedOf(here.query);
  const state = useSearch(wanted);
  const { found, busy, error } = state;
  if (error && !found.records.length) return html`<${LogTrouble} error=${error} again=${state.again} />`;
  return html`
    <p class="quiet audit-lead">Every explanation that the server answered has a line in its audit log: who asked, for what, and what came of it.
      Look one up by its request id, and ask the server for it again.</p>
    <${WantedForm} wanted=${wanted} models=${models} key=${JSON.stringify(wanted)} />
    <${Progress} ...${state} />
    <${RecordTable} found=${found} busy=${busy} />
    ${!busy && !found.records.length && html`<${NothingFound} wanted=${wanted} found=${found} />`}
    ${!busy && found.records.length > 0 && (found.next !== null
      ? html`<p><button type="button" onClick=${state.older}>Show older records</button></p>`
      : html`<p class="quiet">These are all. Older records may be in a file that was renamed to make room; start another console with
        <code>--audit THAT-FILE</code> for it.</p>`)}
    <${Unread} found=${found} />
    ${error && html`<${LogTrouble} error=${error} again=${state.again} />`}`;
}

function Progress({ found, busy, stop, again }) {
  const part = found.size ? found.searched / found.size : 0;
  const reached = found.oldest ? `, back to ${when(found.oldest)}` : "";
  return html`<div class="audit-progress">
    <p role="status">${busy ? `Searching: ${bytes(found.searched)} of ${bytes(found.size)}${reached}` :
      `${count(found.records.length)} ${found.records.length === 1 ? "record" : "records"}, in ${bytes(found.searched)} of ${bytes(found.size)}${found.next === null ? "" : reached}`}</p>
    <progress max="1" value=${part} aria-label="Part of the log that was searched"></progress>
    ${busy ? html`<button type="button" onClick=${stop}>Stop</button>` : html`<button type="button" onClick=${again}>Look again</button>`}
  </div>`;
}

function NothingFound({ wanted, found }) {
  if (!Object.keys(wanted).length) return html`<p>The log has no records yet: ask the server for an explanation, for instance on the page <a href="#/try">Try</a>.</p>`;
  return html`<p>${found.next === null ? "The log has no such record." : "No such record was found so far; the search was stopped."}
    ${" "}An explanation that is not in it was refused, was answered by another server, or is in an older file that was renamed to make room:
    start another console with <code>--audit THAT-FILE</code> for it. Predictions alone are not recorded.</p>`;
}

function Unread({ found }) {
  const bad = found.bad === 1 ? "1 line that was met could not be read and is left out"
    : `${count(found.bad)} lines that were met could not be read and are left out`;
  return html`${found.bad > 0 && html`<p class="quiet">${bad}: a full disk cut them off, or somebody changed them.</p>`}
    ${found.torn && html`<p class="quiet">The last line of the log is not whole: it is being written, or a full disk cut it off.</p>`}`;
}
