// Which records are wanted: a request id, and what else narrows them down. The address holds it, so that it can be shared.
import { names } from "/static/glossary.js";
import { html } from "/static/vendor/htm-preact-standalone.js";

const FIELDS = ["request_id", "model", "version", "method", "caller", "since", "until"];

/** What an address asks for, without what is empty. */
export function wantedOf(query) {
  return Object.fromEntries(FIELDS.map((name) => [name, (query.get(name) ?? "").trim()]).filter(([, value]) => value));
}

/** The address of a search. */
export function addressOf(wanted) {
  const asked = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  return `#/audit${asked.size ? `?${asked}` : ""}`;
}

/** A time of a field of the form, which is in UTC as the log is. */
const utc = (told) => (told ? `${told.length === 16 ? `${told}:00` : told}Z` : "");
const field = (told) => (told ?? "").replace(/Z$/, "");

export function WantedForm({ wanted, models }) {
  const narrowed = Object.keys(wanted).some((name) => name !== "request_id");
  const look = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(FIELDS.map((name) => [name, event.target.elements[name].value.trim()]));
    location.hash = addressOf({ ...given, since: utc(given.since), until: utc(given.until) });
  };
  const methods = names("method").filter((name) => name !== "auto");
  const known = [...new Set(models.map((each) => each.model))];
  return html`<form class="audit-wanted" role="search" aria-label="Records of the audit log" onSubmit=${look}>
    <div class="audit-id">
      <label>Request id<input name="request_id" dir="auto" value=${wanted.request_id ?? ""} maxlength="64" autocomplete="off" spellcheck=${false}
        placeholder="such as order-17" aria-describedby="audit-id-hint" /></label>
      <button class="primary">Look up</button>
      ${Object.keys(wanted).length > 0 && html`<a href="#/audit">Show all</a>`}
    </div>
    <p class="quiet audit-hint" id="audit-id-hint">Its beginning is enough. Pages that ask the server for an explanation show its request id.</p>
    <details open=${narrowed}><summary>Narrow down</summary><div class="audit-fields">
      <label>Model<input name="model" dir="auto" list="audit-models" value=${wanted.model ?? ""} /></label>
      <label>Version<input name="version" inputmode="numeric" pattern="[0-9]{1,9}" title="A whole number" value=${wanted.version ?? ""} /></label>
      <label>Method<input name="method" list="audit-methods" value=${wanted.method ?? ""} /></label>
      <label>Caller<input name="caller" dir="auto" placeholder="a token's name, an address, or part of it" value=${wanted.caller ?? ""} /></label>
      <label>From, in UTC<input name="since" type="datetime-local" step="1" value=${field(wanted.since)} /></label>
      <label>Until, in UTC<input name="until" type="datetime-local" step="1" value=${field(wanted.until)} /></label>
    </div></details>
    <datalist id="audit-models">${known.map((name) => html`<option value=${name} />`)}</datalist>
    <datalist id="audit-methods">${methods.map((name) => html`<option value=${name} />`)}</datalist>
  </form>`;
}
