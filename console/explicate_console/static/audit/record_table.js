// The records that were found, as a table.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { callerWords } from "/static/audit/plain_words.js";
import { count, when } from "/static/format.js";
import { stopWords } from "/static/stopped.js";

/** The address of a record: by its request id, and its place, for ids that several calls had. */
export function recordAddress(record, log) {
  return `#/audit/${encodeURIComponent(record.requestId || "-")}?${new URLSearchParams({ log, at: String(record.at) })}`;
}

export function RecordTable({ found, busy }) {
  return html`<div class="audit-table" tabindex="0" role="region" aria-label="Records, the newest first" aria-busy=${busy}>
    <table><thead><tr><th scope="col">Time</th><th scope="col">Request</th><th scope="col">Model</th><th scope="col">Method</th>
      <th scope="col" class="number">Evaluations</th><th scope="col">Ended</th><th scope="col">Caller</th></tr></thead>
    <tbody>${found.records.map((each) => html`<${Row} record=${each} log=${found.log} key=${`${found.log} ${each.at}`} />`)}</tbody></table></div>`;
}

function Row({ record, log }) {
  const what = record.event ? record.event.replaceAll("-", " ") : record.method + (record.rows === null ? "" : `, ${count(record.rows)} rows`);
  return html`<tr>
    <td class="audit-time">${when(record.time)}</td>
    <td><a class="audit-cut" dir="auto" href=${recordAddress(record, log)}>${record.requestId || "without an id"}</a></td>
    <td><span class="audit-cut" dir="auto">${record.model}${record.version === null ? "" : ` ${record.version}`}</span></td>
    <td><span class="audit-cut" dir="auto">${what}</span></td>
    <td class="number">${record.evaluations === null ? "" : count(record.evaluations)}</td>
    <td title=${stopWords(record.stopReason)}><span class="audit-cut" dir="auto">${record.stopReason}</span></td>
    <td><span class="audit-cut" dir="auto">${callerWords(record.caller)}</span></td></tr>`;
}
