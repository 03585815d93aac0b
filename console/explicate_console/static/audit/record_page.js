// One record: what was asked and answered in plain words, and the replay.
import { html, useEffect, useMemo, useState } from "/static/vendor/htm-preact-standalone.js";
import { sentInput } from "/static/audit/given_input.js";
import { record as askRecord, search } from "/static/audit/log_calls.js";
import { LogTrouble } from "/static/audit/log_trouble.js";
import { callerWords, optionWords } from "/static/audit/plain_words.js";
import { Recorded } from "/static/audit/recorded_values.js";
import { recordAddress } from "/static/audit/record_table.js";
import { Replay } from "/static/audit/replay.js";
import { readInput } from "/static/answers.js";
import { bytes, count, when } from "/static/format.js";
import Meaning from "/static/meaning.js";
import { token } from "/static/token.js";
import { stopWords } from "/static/stopped.js";

/** The record of an address: #/audit/REQUEST_ID, with its place in the log where the list leads here. */
function useRecord(requestId, query) {
  const [state, setState] = useState({ busy: true });
  const [turn, setTurn] = useState(0);
  const log = query.get("log"), at = query.get("at");
  useEffect(() => {
    const mine = new AbortController();
    setState({ busy: true });
    found(requestId, log, at, mine.signal, (searched) => setState({ busy: true, searched }))
      .then((told) => setState({ busy: false, ...told }))
      .catch((error) => { if (error.name !== "AbortError") setState({ busy: false, error }); });
    return () => mine.abort();
  }, [requestId, log, at, turn, token()]);
  return { ...state, again: () => setTurn(turn + 1) };
}

async function found(requestId, log, at, signal, progress) {
  if (log && at) {
    try {
      return { log, at: Number(at), told: await askRecord(log, at, { signal }), others: [] };
    } catch (error) {
      if (error.reason !== "unreadable" || requestId === "-") throw error; // the log was renamed: by its id, then
    }
  }
  const others = [];
  for await (const step of search({ request_id: requestId }, { most: 50, signal })) {
    progress(step);
    others.push(...step.records.filter((each) => each.requestId === requestId).map((each) => ({ ...each, log: step.log })));
    if (others.length) break; // the newest; calls that share an id are near one another
  }
  if (!others.length) return { told: null };
  return { log: others[0].log, at: others[0].at, others, told: await askRecord(others[0].log, others[0].at, { signal }) };
}

export function RecordPage({ here }) {
  const requestId = here.rest[0];
  const state = useRecord(requestId, here.query);
  return html`
    <p class="audit-back"><a href="#/audit">All records</a></p>
    <h1 dir="auto" class="audit-title">${requestId === "-" ? "A request without an id" : html`Request <bdi>${requestId}</bdi>`}</h1>
    ${state.busy && html`<p class="quiet" role="status" aria-busy="true">Looking it up${state.searched?.oldest ? `, back to ${when(state.searched.oldest)}` : ""}</p>`}
    ${state.error && html`<${LogTrouble} error=${state.error} again=${state.again} />`}
    ${state.told === null && html`<${Missing} requestId=${requestId} />`}
    ${state.told && html`<${Told} ...${state} key=${`${state.log} ${state.at}`} />`}`;
}

function Missing({ requestId }) {
  return html`<p>The log has no record of <bdi>${requestId}</bdi>. A request that was refused, that was answered by another server or that asked for
    predictions alone is in none; an older one may be in a file that was renamed to make room: start another console with
    <code>--audit THAT-FILE</code> for it. <a href=${`#/audit?${new URLSearchParams({ request_id: requestId.slice(0, 6) })}`}>Look for ids that begin like it</a>.</p>`;
}

function Told({ told, log, at, others }) {
  const { fields, summary } = told;
  const more = others.filter((each) => each.at !== at);
  return html`
    ${more.length > 0 && html`<p class="notice">${count(more.length)} more ${more.length === 1 ? "record has" : "records have"} this id; this is the newest.
      ${" "}${more.map((each) => html`<a href=${recordAddress(each, log)}>${when(each.time)}</a> `)}</p>`}
    ${told.changed && html`<div class="notice bad" role="alert">The attributions in this line are not those of its own SHA-256: the line was changed after it was written.</div>`}
    ${summary.event ? html`<${Event} fields=${fields} summary=${summary} />` : html`<${Explained} fields=${fields} summary=${summary} />`}
    ${told.unfit ? html`<p class="notice">${told.unfit}</p>` : html`
      <${Replay} log=${log} at=${at} told=${told} />`}
    <details class="audit-raw"><summary>The whole line, as the log has it</summary><pre tabindex="0" dir="ltr">${shown(fields)}</pre></details>`;
}

/** The line as JSON, with long texts and lists cut: an image in base64 would hold up the page. */
function shown(fields) {
  const cut = (_key, value) => (typeof value === "string" && value.length > 2000 ? `${value.slice(0, 2000)}… (${value.length} characters)` : value);
  return JSON.stringify(fields, cut, 1);
}

function Event({ fields, summary }) {
  const unmet = Array.isArray(fields.unmet) ? fields.unmet : [];
  return html`<p>At ${when(summary.time)} <bdi>${String(fields.who ?? callerWords(summary.caller))}</bdi> let ${summary.model} ${summary.version} serve
    although it does not meet the standard ${String(fields.standard?.name ?? "")} that this server requires.</p>
    <dl class="audit-facts"><dt>Why</dt><dd dir="auto">${String(fields.why ?? "")}</dd>
      ${unmet.map((each) => html`<dt dir="auto">${String(each?.requirement ?? "")}</dt><dd dir="auto">${String(each?.reason ?? "")}</dd>`)}</dl>`;
}

function Explained({ fields, summary }) {
  const options = fields.options ?? {};
  const seconds = options.time_limit_s;
  return html`
    <p class="audit-sentence">At ${when(summary.time)}, <bdi>${callerWords(summary.caller)}</bdi> asked
      ${" "}<a href=${`#/models/${encodeURIComponent(summary.model)}`}><bdi>${summary.model}</bdi></a> version ${summary.version ?? "?"} to explain
      ${" "}${summary.rows === null ? "one input" : `${count(summary.rows)} rows`} by ${summary.method}. After ${summary.evaluations === null ? "an unknown number of" : count(summary.evaluations)} evaluations
      of the model it ended because ${stopWords(summary.stopReason)}.
      ${summary.cutByClock && ` The clock cut it${seconds ? `, at ${seconds} s` : ""}: another run may have time for more or fewer evaluations.`}</p>
    <div class="audit-columns"><section aria-label="What was asked"><h2>Asked</h2>
      <dl class="audit-facts">${optionWords(options).map((told) => html`<${Option} told=${told} />`)}
        <dt>Input</dt><dd><${Input} fields=${fields} /></dd></dl></section>
    <section aria-label="What was answered"><h2>Answered</h2>
      <dl class="audit-facts"><dt>Bundle</dt><dd><code class="audit-digest" title=${fields.bundle_digest}>${String(fields.bundle_digest ?? "").slice(0, 12)}</code></dd>
        <dt>Ran on</dt><dd>${[fields.runtime, fields.precision].filter(Boolean).join(", ")}</dd>
        <dt>Server</dt><dd>${String(fields.server_version ?? "")}</dd></dl>
      <${Recorded} fields=${fields} /></section></div>`;
}

/** An option and what it was; the one of the two that the glossary knows tells what it means. */
function Option({ told: [name, words, [group, term] = []] }) {
  const meant = (word) => html`<${Meaning} group=${group} name=${term}>${word}<//>`;
  return html`<dt>${group && term !== words ? meant(name) : name}</dt><dd dir="auto">${term === words ? meant(words) : words}</dd>`;
}

function Input({ fields }) {
  const held = fields.input;
  if (!held) {
    const digest = String(fields.input_sha256 ?? fields.table_sha256 ?? "");
    return html`<span class="quiet">not in the log, only its SHA-256 <code class="audit-digest" title=${digest}>${digest.slice(0, 12)}</code>
      ${" "}(the server keeps inputs with <code>--audit-inputs</code>)</span>`;
  }
  if (typeof held.image === "string") return html`<${Picture} held=${held} />`;
  if (held.cells) return html`<span class="audit-cells">${Object.entries(held.cells).map(([name, value]) => html`<span><bdi>${name}</bdi> = <bdi>${value === null ? "missing" : String(value)}</bdi></span>`)}</span>`;
  return html`<blockquote class="audit-text" dir="auto" tabindex="0">${String(held.text ?? "")}</blockquote>
    ${"text_pair" in held && html`<blockquote class="audit-text" dir="auto" tabindex="0">${String(held.text_pair ?? "")}</blockquote>`}`;
}

function Picture({ held }) {
  const address = useMemo(() => { try { return readInput(sentInput(held)).image; } catch { return null; } }, [held]);
  return html`${address && html`<img class="audit-picture" src=${address} alt="The image that was explained" />`}
    <span>${bytes(Math.floor(held.image.length * 3 / 4))}</span>`;
}
