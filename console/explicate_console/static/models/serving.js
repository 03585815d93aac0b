// Where the calls of a model go: its labels, the shares of canary and shadow, and what shadowing found.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, share } from "/static/format.js";
import { pointsOf, sharesOf } from "/static/models/changes.js";
import { addressOf } from "/static/models/list.js";
import { numberOf, written } from "/static/models/measured.js";
import { percent } from "/static/models/statuses.js";

/** The section; `ask` opens the question before a change. */
export function Serving({ answer, ask }) {
  const { model } = answer.status;
  const points = Object.entries(pointsOf(answer));
  return html`<section><h2>Where calls go</h2>
    ${points.length === 0 && html`<p>No version has a label, so calls that name no version are refused.</p>`}
    ${points.length > 0 && html`<table class="stacked"><caption class="unseen">Labels of ${model}</caption>
      <thead><tr><th scope="col">Label</th><th scope="col">Version</th><th scope="col">Before</th><th scope="col">Change</th></tr></thead>
      <tbody>${points.map(([label, { version, previous }]) => html`<tr key=${label}>
        <th scope="row" data-name="Label">${label}</th><td data-name="Version"><a href=${addressOf(model, version)}>${version}</a></td>
        <td data-name="Before">${previous ? html`<a href=${addressOf(model, previous)}>${previous}</a>` : "–"}</td>
        <td data-name="Change"><span class="acts">${previous > 0 && html`<button onClick=${() => ask({ kind: "rollback", version: previous, label })}>Roll back ${label} to version ${previous}</button>`}
          <button onClick=${() => ask({ kind: "unlabel", version, label })}>Remove the label ${label}</button></span></td></tr>`)}
      </tbody></table>`}
    <p class="quiet">Calls that name no version go to live. “Before” is where a roll back would go.</p>
    <${Canary} answer=${answer} ask=${ask} /></section>`;
}

function Canary({ answer, ask }) {
  const version = pointsOf(answer).canary?.version;
  const { canary, shadow } = sharesOf(answer);
  if (!version) return html`<h3>Canary and shadow</h3><p>No version has the label canary. Give one that label to let it answer a share of the calls, or shadow them.</p>`;
  return html`<h3>Canary and shadow: version ${version}</h3>
    <ul class="plain"><li><b class="figure">${percent(canary)}</b> of the calls that name no version and no label are answered by it.</li>
      <li><b class="figure">${percent(shadow)}</b> of the others are asked of it as well, in the background; what it says is only compared.</li></ul>
    <p><button onClick=${() => ask({ kind: "traffic", version })}>Set the canary's traffic</button></p>
    <${Shadow} report=${answer.shadow} />`;
}

function Shadow({ report }) {
  if (!report) return html`<p class="quiet">Nothing was compared yet.</p>`;
  const figure = (name, value, told) => html`<div><dt>${name}</dt><dd><b class="figure">${value}</b> <span class="quiet">${told}</span></dd></div>`;
  const optional = (value) => (value === undefined ? null : numberOf(value));
  return html`<p>Version ${report.canaryVersion} beside version ${report.liveVersion}, on the same inputs:</p>
    <dl class="figures">
      ${figure("Predictions compared", count(report.predictions ?? 0), "inputs")}
      ${report.sameOutcome !== undefined && figure("Same answer", share(optional(report.sameOutcome)), "of them. The rest are answered differently; which version is right is not known here")}
      ${report.meanAbsoluteDifference !== undefined && figure("Mean difference", written(optional(report.meanAbsoluteDifference)), "of probabilities, or of values")}
      ${figure("Explanations compared", count(report.attributions ?? 0), "")}
      ${report.meanSpearman !== undefined && figure("Rank correlation", written(optional(report.meanSpearman)), "of their attributions: 1 is the same order of parts")}
      ${figure("Left out", count(report.dropped ?? 0), "because too many waited")}
      ${figure("Errors", count(report.failed ?? 0), "that version could not answer, or not comparably")}
    </dl>${report.lastFailure && html`<p dir="auto">The last error: ${report.lastFailure}</p>`}`;
}
