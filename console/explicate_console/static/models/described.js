// What a version is: what it reads and answers, how it decides, what it runs on, what is accepted, and where it came from.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { typicalCells } from "/static/forms/cells.js";
import { bytes, count, seconds, share, when } from "/static/format.js";
import Meaning from "/static/meaning.js";
import { numberOf, written } from "/static/models/measured.js";
import { kindOf, servedBy } from "/static/models/statuses.js";
import { Scroll } from "/static/models/scroll.js";

const MOST_SHOWN = 200; // of labels and columns; the rest is counted
const plainEnum = (word) => String(word ?? "").replace(/^(COLUMN_TYPE|GRANULARITY|MASKING)_/, "").toLowerCase().replaceAll("_", " ");

/** What goes in and what comes out. */
export function Schema({ answer }) {
  const { bundle, status } = answer;
  return html`<section><h2>What it reads and answers</h2>
    <p>${kindOf(status)}</p>
    ${bundle.text && html`<p>${bundle.text.pairs ? "Two texts" : "A text"} of at most ${count(bundle.text.maxTokens)} tokens${bundle.text.pairs ? " together" : ""}: what comes after is not read, and answers say so.</p>`}
    ${bundle.image && html`<p>An image, made ${count(bundle.image.width)} × ${count(bundle.image.height)} pixels before the model sees it.</p>`}
    ${bundle.tabular && html`<${Columns} table=${bundle.tabular} told=${answer.typicalValues} />`}
    ${bundle.classLabels?.length > 0 && html`<h3>${bundle.objective === "OBJECTIVE_MULTI_LABEL" ? "Labels" : "Classes"} (${count(bundle.classLabels.length)})</h3><${Chips} names=${bundle.classLabels} />`}
    ${bundle.targetName && html`<p dir="auto">It answers with a number: ${bundle.targetName}.</p>`}
    <${Decision} bundle=${bundle} /></section>`;
}

function Chips({ names }) {
  return html`<p class="chips">${names.slice(0, MOST_SHOWN).map((name) => html`<span class="chip cut" dir="auto" tabindex=${name.length > 60 ? "0" : undefined} title=${name}>${name}</span>`)}
    ${names.length > MOST_SHOWN && html`<span class="quiet">and ${count(names.length - MOST_SHOWN)} more</span>`}</p>`;
}

function Columns({ table, told }) {
  const { columns = [], leftOut = [] } = table;
  const typical = typicalCells(columns, told);
  const about = ({ name, group, mayBeMissing, categories, monotone }) => [
    group && `one part of an explanation with the other columns of ${group}`,
    mayBeMissing && "may be missing",
    categories?.length && `${count(categories.length)} values: ${categories.slice(0, 12).join(", ")}${categories.length > 12 ? ", …" : ""}`,
    name in typical && `typically ${typical[name] ?? "missing"}`,
    monotone && `only ${monotone.decreasing ? "lowers" : "raises"} ${monotone.label ?? "the answer"}`,
  ].filter(Boolean).join("; ");
  return html`<h3>Columns (${count(columns.length)})</h3><${Scroll} name="Columns" tall=${true}><table>
    <thead><tr><th scope="col">Column</th><th scope="col">Type</th><th scope="col">About it</th></tr></thead>
    <tbody>${columns.slice(0, MOST_SHOWN).map((column) => html`<tr><th scope="row" class="long" dir="auto">${column.name}</th><td>${plainEnum(column.type)}</td><td class="long" dir="auto">${about(column) || "–"}</td></tr>`)}</tbody></table><//>
    ${columns.length > MOST_SHOWN && html`<p class="quiet">And ${count(columns.length - MOST_SHOWN)} more.</p>`}
    ${leftOut.length > 0 && html`<details><summary>${leftOut.length} columns of the training file that it does not read</summary><ul>${leftOut.map(({ name, reason, forbidden }) => html`<li dir="auto"><b>${name}</b>: ${reason}${forbidden ? " (it must not use it; a request may give it, and it changes nothing)" : ""}</li>`)}</ul></details>`}`;
}

function Decision({ bundle }) {
  const rule = bundle.decision;
  const simple = bundle.objective === "OBJECTIVE_MULTI_LABEL" ? "Each label from a probability of one half on." : "The most probable class.";
  if (bundle.objective === "OBJECTIVE_REGRESSION") return null;
  return html`<h3>How probabilities become an answer</h3>
    ${!rule && html`<p>${simple}</p>`}
    ${rule?.costs?.length > 0 && html`<p>The class with the least expected cost is answered.</p><${Costs} labels=${bundle.classLabels ?? []} costs=${rule.costs} />`}
    ${rule?.thresholds?.length > 0 && html`<ul>${rule.thresholds.map((one) => html`<li dir="auto"><b>${one.label}</b> from a probability of ${written(numberOf(one.threshold))} on, chosen for ${one.goal}: it finds ${share(numberOf(one.recall))} of them, and is right in ${share(numberOf(one.precision))} of what it answers so.</li>`)}</ul>`}
    ${rule && html`<p class="quiet">Chosen on ${count(rule.rows ?? 0)} validation rows. It changes which answer is given, not the probabilities.</p>`}
    ${bundle.temperature !== undefined && html`<p>Logits are divided by ${written(numberOf(bundle.temperature))} in the graph, so that probabilities are calibrated.</p>`}`;
}

function Costs({ labels, costs }) {
  const width = labels.length;
  return html`<details><summary>What answers cost</summary><${Scroll} name="What answers cost"><table>
    <thead><tr><th scope="col">Right is</th>${labels.map((label) => html`<th scope="col" class="number" dir="auto">answered ${label}</th>`)}</tr></thead>
    <tbody>${labels.map((label, row) => html`<tr><th scope="row" dir="auto">${label}</th>${labels.map((_, column) => html`<td class="number">${costs[row * width + column]}</td>`)}</tr>`)}</tbody></table><//></details>`;
}

/** What it runs on, and what this server accepts for it. */
export function Running({ answer }) {
  const { status, limits = {}, runtimes = [], devices = [], deviceReason, methods = [] } = answer;
  const rows = [
    ["Inputs in one Predict", count(limits.maxInputs)],
    ["Rows in one table of explanations", count(limits.maxExplainedRows)],
    ["Model rows of one explanation", count(limits.maxEvaluations)],
    ["Model rows in progress for one caller", count(limits.maxEvaluationsPerCaller)],
    ["Time of one call", seconds(limits.maxCallSeconds)],
    ...(answer.bundle?.text ? [["One text", bytes(limits.maxTextBytes)]] : []),
    ...(answer.bundle?.image ? [["One image file", bytes(limits.maxImageBytes)], ["One image", `${count(limits.maxImagePixels)} pixels`]] : []),
  ];
  return html`<section><h2>Use and limits</h2>
    <p>${servedBy(status) ? `It runs on ${servedBy(status)}` : "It is not loaded"}, and answers ${count(status.leases ?? 0)} calls now.${deviceReason ? ` ${deviceReason[0].toUpperCase()}${deviceReason.slice(1)}.` : ""}</p>
    ${methods.length > 0 && html`<p>Explanation methods:</p><ul class="acts plain">${methods.map((name) => html`<li key=${name}><${Meaning} group="method" name=${name}>${name}<//></li>`)}</ul>`}
    <${Scroll} name="Limits"><table><caption class="unseen">Limits of this server</caption><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}, at most</th><td class="number">${value}</td></tr>`)}</tbody></table><//>
    ${runtimes.length > 0 && html`<details><summary>What was tried on this machine</summary><ul>${runtimes.map((trial) => html`<li dir="auto">${trialWords(trial)}</li>`)}</ul></details>`}
    ${devices.length > 0 && html`<details><summary>Devices</summary><ul>${devices.map((device) => html`<li dir="auto">${deviceWords(device)}</li>`)}</ul></details>`}</section>`;
}

function trialWords(trial) {
  const parts = [trial.passed ? "gives the bundle's golden answers" : `refused: ${trial.reason}`];
  if (trial.secondsPerRow !== undefined) parts.push(`${written(trial.secondsPerRow * 1000)} ms a row`);
  if (trial.logitDifference !== undefined) parts.push(`outputs within ${written(numberOf(trial.logitDifference))}`);
  if (trial.attributionDifference !== undefined) parts.push(`attributions within ${share(numberOf(trial.attributionDifference))}`);
  return `${trial.runtime} ${trial.precision}: ${parts.join(", ")}`;
}

function deviceWords(device) {
  if (!device.serves) return `${device.device} does not serve it: ${device.reason}`;
  const memory = device.memoryUsedBytes === undefined ? "" : `, ${bytes(device.memoryUsedBytes)} of its memory in use, ${bytes(device.memoryFreeBytes)} free`;
  const halved = Number(device.outOfMemory ?? 0) ? `, ${count(device.outOfMemory)} batches halved for lack of memory` : "";
  return `${device.device}: ${device.lanes} batches at once${memory}${halved}`;
}

/** Where it came from, and what its digests are. */
export function Origin({ answer }) {
  const { bundle, status } = answer;
  const { provenance = {}, files = [], createTime } = bundle;
  return html`<section><h2>Origin and trust</h2>
    <p>${createTime ? `Exported ${when(createTime)}` : "When it was exported is not on record"}${provenance.baseModel ? `, fine-tuned from ${provenance.baseModel}` : ""}${provenance.seed !== undefined ? `, seed ${provenance.seed}` : ""}.</p>
    <p>SHA-256 of its manifest, which answers and audit records name: <code class="digest">${status.bundleDigest ?? "not known"}</code></p>
    <p class="quiet">The server checks every file against the manifest's digests before it loads a version, and its answers against the golden ones. Whether a signature was asked for is not told by the server: with --verify-key it loads no version without a good one.</p>
    <details><summary>Files (${files.length}) and tools</summary>
      <${Scroll} name="Files"><table><thead><tr><th scope="col">File</th><th scope="col" class="number">Size</th><th scope="col">SHA-256</th></tr></thead>
      <tbody>${files.map((file) => html`<tr><th scope="row">${file.name}</th><td class="number">${bytes(file.sizeBytes)}</td><td><code class="digest">${file.sha256}</code></td></tr>`)}</tbody></table><//>
      ${provenance.dataSha256 && html`<p>SHA-256 of the cleaned training data: <code class="digest">${provenance.dataSha256}</code></p>`}
      ${bundle.testRowsSha256 && html`<p>SHA-256 of the test rows: <code class="digest">${bundle.testRowsSha256}</code></p>`}
      ${Object.keys(provenance.toolVersions ?? {}).length > 0 && html`<p>Made with ${Object.entries(provenance.toolVersions).map(([tool, version]) => `${tool} ${version}`).join(", ")}.</p>`}</details></section>`;
}
