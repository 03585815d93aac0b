// The list of every version of every model.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { bytes, count } from "/static/format.js";
import { byModel, kindOf, labelsOf, servedBy, stateOf, tally } from "/static/models/statuses.js";

const COLUMNS = ["Version", "State", "Labels", "Serves on", "Size", "Answering now"];
const NUMBERS = new Set(["Size", "Answering now"]);

/** The table; `models` are the ModelStatus of ListModels. */
export function List({ models }) {
  return html`<p class="quiet">${tally(models)}.</p>
    <table class="stacked versions" role="table"><caption class="unseen">Every version of every model</caption>
      <thead role="rowgroup"><tr role="row">${COLUMNS.map((name) => html`<th role="columnheader" scope="col" class=${NUMBERS.has(name) ? "number" : ""}>${name}</th>`)}</tr></thead>
      ${byModel(models).map(({ model, versions }) => html`<tbody role="rowgroup" key=${model}>
        <tr role="row" class="of-model"><th role="rowheader" scope="rowgroup" colspan=${COLUMNS.length}>
          <a href=${addressOf(model)} dir="auto">${model}</a><span class="quiet">${versions.map(kindOf).find(Boolean) ?? ""}</span></th></tr>
        ${versions.map((status) => html`<${Row} key=${status.version} status=${status} />`)}</tbody>`)}
    </table>`;
}

/** The address of a model's page. */
export function addressOf(model, version) {
  return `#/models/${encodeURIComponent(model)}${version ? `?version=${version}` : ""}`;
}

function Row({ status }) {
  const { model, version, reason, graphBytes, leases } = status;
  return html`<tr role="row">
    <th role="rowheader" scope="row" data-name="Version">${version ? html`<a href=${addressOf(model, version)}>${version}</a>` : "none can be read"}</th>
    <td role="cell" data-name="State"><${State} status=${status} />${reason && html`<p class="reason" dir="auto">${reason}</p>`}</td>
    <td role="cell" data-name="Labels"><${Labels} status=${status} /></td>
    <td role="cell" data-name="Serves on">${servedBy(status) || html`<span class="quiet">–</span>`}</td>
    <td role="cell" data-name="Size" class="number">${graphBytes ? bytes(graphBytes) : "–"}</td>
    <td role="cell" data-name="Answering now" class="number">${count(leases ?? 0)}</td></tr>`;
}

/** The state as a word with a mark. */
export function State({ status }) {
  const { word, mark, told } = stateOf(status);
  return html`<span class=${`state ${word}`} title=${told}><span aria-hidden="true">${mark}</span> ${word}</span>`;
}

/** The labels as chips. */
export function Labels({ status }) {
  const labels = labelsOf(status);
  if (!labels.length) return html`<span class="quiet">none</span>`;
  return html`<span class="chips">${labels.map(({ text, title }) => html`<span class="chip" dir="auto" title=${title}>${text}</span>`)}</span>`;
}
