// The answer itself: scores of the classes as bars with figures, or the value of a regression.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { plainNumber, share, valueText } from "/static/format.js";
import { More, Name, percent, Row, Table } from "/static/marks/common.js";

const SHOWN = 8; // classes before the rest is asked for

/** The prediction of `answer`, as readExplanation has it; of a bare prediction pass {prediction}. */
export default function Prediction({ answer }) {
  const { prediction } = answer;
  const note = notAsGiven(prediction);
  return html`<div role="group" class="mark mark-prediction" aria-label="Prediction">
    ${prediction.value !== null ? html`<${Value} prediction=${prediction} />` : html`<${Scores} prediction=${prediction} />`}
    ${note && html`<p class="mark-note">${note}</p>`}
  </div>`;
}

function Value({ prediction }) {
  return html`<p class="mark-outcome"><span class="mark-quiet">The model predicts</span>
    <strong class="numeral">${valueText(prediction.value)}</strong>
    ${prediction.target && html` <bdi class="mark-quiet" dir="auto">${prediction.target}</bdi>`}</p>`;
}

function Scores({ prediction }) {
  const [all, showAll] = useState(false);
  const given = new Set(prediction.labels ?? [prediction.label]);
  const sorted = [...prediction.scores].sort((one, other) => other.probability - one.probability || one.index - other.index);
  const first = sorted.filter(({ label }) => given.has(label));
  const few = new Set([...new Set([...first, ...sorted])].slice(0, Math.max(SHOWN, first.length + 1))); // the answer is always among them
  const shown = all ? sorted : sorted.filter((score) => few.has(score));
  const noun = prediction.labels ? "label" : "class";
  return html`<div>
    <p class="mark-outcome">${saying(prediction)}</p>
    <${Table} className="mark-scores" caption=${`Probability of each ${noun}`} heads=${[{ title: noun, className: "mark-head" },
      { title: "bar", isSaid: true, className: "mark-track-cell" }, { title: "probability", className: "mark-figures mark-adds" }]}>
      ${shown.map((score) => html`<${Score} key=${score.index} score=${score} given=${given.has(score.label)} />`)}
    <//>
    <${More} hidden=${sorted.length - shown.length} all=${all && sorted.length > SHOWN} toggle=${() => showAll(!all)} />
  </div>`;
}

function saying({ label, labels }) {
  if (labels === null) return html`<span class="mark-quiet">The model answers</span> <strong><${Name} text=${label} /></strong>`;
  if (!labels.length) return html`<span class="mark-quiet">The model gives no label</span>`;
  return html`<span class="mark-quiet">The model gives</span> ${labels.map((each, place) => html`${place ? ", " : " "}<strong><${Name} text=${each} /></strong>`)}`;
}

function Score({ score, given }) {
  const details = [`logit ${plainNumber(score.logit, 3)}`];
  if (score.threshold !== null) details.push(`given from ${share(score.threshold)} on`);
  if (score.expectedCost !== null) details.push(`expected cost ${plainNumber(score.expectedCost, 3)}`);
  const head = html`<${Name} text=${score.label} />${given && html`<span class="mark-said"> (the answer)</span>`}`;
  const bar = html`<svg class="mark-track" aria-hidden="true" focusable="false">
    <rect class="mark-scale" x="0" y="22%" width="100%" height="56%" />
    <rect class=${`mark-share ${given ? "given" : ""}`} x="0" y="22%" width=${percent(100 * (score.probability ?? 0))} height="56%" />
    ${score.threshold !== null && html`<line class="mark-threshold" x1=${percent(100 * score.threshold)} x2=${percent(100 * score.threshold)} y1="8%" y2="92%" />`}</svg>`;
  const figures = html`<span title=${details.join(", ")}>${share(score.probability)}</span>
    ${score.threshold !== null && html`<span class="mark-half"> from ${share(score.threshold)}</span>`}
    ${score.expectedCost !== null && html`<span class="mark-half"> cost ${plainNumber(score.expectedCost, 2)}</span>`}`;
  return html`<${Row} className=${given ? "given" : ""} head=${head} cells=${[[bar, "mark-track-cell"], [figures, "mark-figures mark-adds"]]} />`;
}

/** What of the input the model did not read or does not know; empty when there is nothing of that. */
function notAsGiven({ textUsage, imageUsage, unknownColumns }) {
  const said = [];
  if (textUsage?.truncated) said.push(`The text is too long for the model: it read ${textUsage.tokensUsed} of ${textUsage.tokens} tokens.`);
  if (unknownColumns?.length) said.push(`The model does not know the category in ${unknownColumns.join(", ")}: it answered as for any unknown one.`);
  if (imageUsage?.frames > 1) said.push(`The file has ${imageUsage.frames} pictures: the model saw the first one only.`);
  if (imageUsage && Math.max(imageUsage.left, imageUsage.top, imageUsage.width - imageUsage.right, imageUsage.height - imageUsage.bottom) >= 0.5) {
    const { left, top, right, bottom, width, height } = imageUsage;
    said.push(`The model saw the part from ${Math.round(left)},${Math.round(top)} to ${Math.round(right)},${Math.round(bottom)} of ${width} × ${height} pixels.`);
  }
  return said.join(" ");
}
