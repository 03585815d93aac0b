// What was measured of a version: the standard's verdict, test figures, and how well it can be explained.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, when } from "/static/format.js";
import { endsOf, figuresOf, numberOf, readingOf, removalCurve, scales, spanOf, testFigures, written } from "/static/models/measured.js";
import { Plots } from "/static/models/plots.js";
import { percent } from "/static/models/statuses.js";
import { criteriaOf, decisionsOf, verdictOf } from "/static/models/standards.js";
import { RemovalCurve, Strips } from "/static/models/strips.js";
import { Scroll } from "/static/models/scroll.js";

/** The standards: that of the publisher, and that of this server. */
export function Standards({ answer }) {
  const published = answer.bundle?.standard;
  const required = answer.requiredStandard;
  return html`<section><h2>Standard</h2>
    <p class="quiet">A standard says, before the test rows are looked at, what a model must reach. It says nothing of what it does not require, nor of inputs unlike the test rows.</p>
    ${!published && !required && html`<p>No standard is on record for this version, and this server requires none of it, or has not judged it yet.</p>`}
    ${required && html`<h3 dir="auto">Required by this server: ${required.name}, version ${required.version}</h3><${Verdict} word=${required.verdict} />
      <${Criteria} required=${required} /><${Recheck} recheck=${required.recheck} />`}
    ${published && html`<h3 dir="auto">On record since export: ${published.name}, version ${published.version}</h3><${Verdict} word=${published.verdict} />
      <p><b class="figure">${published.met ?? 0}</b> of <b class="figure">${published.judged ?? 0}</b> requirements met, each slice counted, on ${count(published.rows ?? 0)} test rows.
        The figure and the bounds of each requirement are in the card below, if the publisher wrote them there, and in standard.json of the bundle.</p>`}
    <${Decisions} decisions=${decisionsOf(answer)} /></section>`;
}

function Verdict({ word }) {
  const { good, told } = verdictOf(word);
  const mark = good === null ? "◐" : good ? "✓" : "✕";
  return html`<p class=${`verdict ${good === false ? "failed" : good === null ? "answered-for" : ""}`}><span aria-hidden="true">${mark}</span> <b>${word}</b>. ${told}</p>`;
}

function Criteria({ required }) {
  const criteria = criteriaOf(required);
  if (!criteria.length) return html`<p>No requirement is missed.</p>`;
  return html`<${Scroll} name="Requirements"><table><caption class="unseen">Requirements that are not met</caption>
    <thead><tr><th scope="col">Requirement</th><th scope="col">Is</th><th scope="col">Why</th></tr></thead>
    <tbody>${criteria.map(({ id, word, reason, waiver }) => html`<tr><th scope="row" dir="auto">${id}</th><td>${word}</td>
      <td dir="auto" class="long">${reason}${waiver && html`<br />${waiver.who} answers for it until ${waiver.until}: ${waiver.why}`}</td></tr>`)}</tbody></table><//>
    <p class="quiet">All other requirements are met.</p>`;
}

function Recheck({ recheck }) {
  if (!recheck) return null;
  const right = recheck.right === undefined ? "" : `, ${count(recheck.right)} answered rightly`;
  return html`<p>When it was loaded, ${count(recheck.rows ?? 0)} of its test rows were scored again: the largest difference to the answers on record is ${written(numberOf(recheck.largestDifference))} (${written(numberOf(recheck.allowed))} is allowed)${right}.</p>`;
}

function Decisions({ decisions }) {
  if (!decisions.length) return null;
  return html`<h3>Decisions on record</h3><ul>${decisions.map(({ what, who, why, when: time }) => html`<li dir="auto"><b>${who}</b> ${what}, ${time.startsWith("until") ? time : when(time)}: ${why}</li>`)}</ul>`;
}

/** Test figures with their intervals, beside what is simple. */
export function TestFigures({ bundle }) {
  const found = testFigures(bundle);
  const figures = found.filter(({ id }) => !COUNTED.has(id));
  const verdict = bundle.verdict;
  if (!figures.length && !verdict) return html`<section><h2>Test figures</h2><p>The publisher put none on record.</p></section>`;
  const confidence = verdict?.confidence ?? 0.95;
  const [shares, others] = [figures.filter(isShare), figures.filter((figure) => !isShare(figure))];
  return html`<section><h2>Test figures</h2>
    <p class="quiet">Measured once, on ${heldOut(found)}: what to expect of inputs like those, and of no others. An interval says where the figure would lie on other such inputs.</p>
    ${verdict && html`<p class=${`verdict ${verdict.learnt ? "" : "failed"}`} dir="auto">${verdict.sentence}</p><${Rivals} verdict=${verdict} />`}
    ${shares.length > 0 && html`<${Strips} figures=${shares} from=${0} to=${1} caption="Test figures" confidence=${confidence} />`}
    ${others.length > 0 && html`<div class="apart">${others.map((figure) => html`<${Strips} key=${figure.id} figures=${[figure]} ...${spanOf([figure])} caption=${figure.name} confidence=${confidence} />`)}</div>`}
  </section>`;
}

const COUNTED = new Set(["texts", "rows", "images"]);

/** "1,000 held-out texts", as far as it is known. */
function heldOut(figures) {
  const counted = figures.find(({ id, value }) => COUNTED.has(id) && value !== null);
  return counted ? `${count(counted.value)} held-out ${counted.id}` : "held-out inputs";
}

const isShare = ({ id, value }) => value !== null && value >= 0 && value <= 1 && !/loss|mae|rmse|error/.test(id);

function Rivals({ verdict }) {
  if (!verdict.rivals?.length) return null;
  const ends = (interval) => (interval ? endsOf({ lower: numberOf(interval.lower), upper: numberOf(interval.upper) }) : "not known");
  return html`<${Scroll} name="Simple models"><table><caption class="unseen">The model beside simple ones</caption>
    <thead><tr><th scope="col">Beside</th><th scope="col" class="number">${verdict.title}</th><th scope="col" class="number">The model is better by</th><th scope="col" class="number">Interval</th></tr></thead>
    <tbody>${verdict.rivals.map((rival) => html`<tr><th scope="row" dir="auto">${rival.name}</th><td class="number">${written(numberOf(rival.value))}</td>
      <td class="number">${written(numberOf(rival.difference))}</td><td class="number">${ends(rival.differenceInterval)}</td></tr>`)}</tbody></table><//>`;
}

/** How well the version can be explained, metric by metric. */
export function Interpretability({ bundle }) {
  const measured = bundle.interpretability;
  if (!measured?.metrics?.length) return html`<section><h2>How well it can be explained</h2><p>That was not measured at export (explicate export --evaluate does it).</p></section>`;
  const missing = measured.metrics.filter((metric) => metric.missing);
  const plotted = measured.metrics.some((metric) => metric.plots?.length);
  return html`<section><h2>How well it can be explained</h2>
    <p class="quiet">Measured at export on ${count(measured.inputs)} held-out inputs, explained by kernel-shap at its defaults on ${measured.runtime}; dots are figures, whiskers ${percent(measured.confidence)} intervals. Do not choose a model by one of these alone: a constant model is perfectly cheap to explain.</p>
    <div class="metrics">${measured.metrics.filter((metric) => !metric.missing).map((metric) => html`<${Metric} key=${metric.id} metric=${metric} confidence=${measured.confidence} />`)}</div>
    ${missing.length > 0 && html`<details><summary>${missing.length} more could not be measured</summary><ul>${missing.map((metric) => html`<li dir="auto"><b>${metric.title}</b>: ${metric.missing}</li>`)}</ul></details>`}
    <details><summary>What it rests on</summary><p>Seed ${measured.seed ?? 0}, evaluator version ${measured.evaluatorVersion}; figures of two versions of the evaluator are not comparable. Held-out rows: <code class="digest">${measured.rowsSha256}</code></p>
      <p>${plotted ? "The figures of each single input are not in the bundle: the run's interpretability.json has them." : "The figures of each single input, and plots of them, are not in this bundle: the run's interpretability.json and report have them. Exporting the run anew with --evaluate adds the plots."}</p></details></section>`;
}

function Metric({ metric, confidence }) {
  const figures = figuresOf(metric);
  const curve = removalCurve(figures);
  return html`<article class="metric"><h3 dir="auto">${metric.title}</h3>
    <p dir="auto">${metric.sentence}</p>
    ${curve.length > 1 && html`<${RemovalCurve} points=${curve} title=${metric.title} />`}
    ${scales(figures).map((scale) => html`<${Strips} ...${scale} caption=${metric.title} confidence=${confidence} />`)}
    <${Plots} plots=${metric.plots} confidence=${confidence} />
    <details><summary>How to read it</summary><p>${readingOf(metric) || "This page has no words for this metric."} It rests on ${count(figures[0]?.inputs ?? 0)} of the inputs.</p></details></article>`;
}
