// What the two answers say of each other: in short, pair by pair, what it cost, and what not to conclude.
import { html, useMemo } from "/static/vendor/htm-preact-standalone.js";
import { count, seconds } from "/static/format.js";
import { differences, toldBy } from "/static/compare/differences.js";
import Paired from "/static/compare/paired.js";
import { pairItems } from "/static/compare/pairing.js";
import { agreementWords, cautions, costWords, differenceWords, outputFor, predictionWords, unlikeWords } from "/static/compare/wording.js";
import Meaning from "/static/meaning.js";
import { stopWords } from "/static/stopped.js";

/** Everything that is told of two final answers; a pure function. */
export function compare(plan, [left, right], contrast, label) {
  const [one, other] = [left, right].map((answer) => ({ answer, output: answer.outputs[outputFor(answer, label)] }));
  const unlike = one.output && other.output ? unlikeWords(left, right) : "One side has no explanation.";
  if (unlike) return { why: unlike, rows: [] };
  const part = ({ answer, output }) => ({ kind: answer.kind, items: output.items, map: answer.segmentMap });
  const { pairs, why } = pairItems(part(one), part(other), { sameInput: plan.sameInput });
  const against = contrast?.outputs[0] ?? null;
  const told = against && toldBy(against, pairs);
  const rows = differences(pairs, { independent: plan.independent, sign: plan.differs === "contrast" ? -1 : 1, told });
  const sides = told ? [contrast] : [left, right];
  return { why, rows, contrast: told ? against : null, exact: sides.every(isExact), decimals: Math.max(left.decimals, right.decimals) };
}

const isExact = (answer) => answer.outputs.every((output) => output.items.every((item) => item.hasInterval && item.lower === item.upper));

const meant = (group, name, word = name) => name && html`<${Meaning} group=${group} name=${name}>${word}<//>`;

function Costs({ answers, tookS }) {
  const rows = [
    ["Method", (answer) => meant("method", answer.method)], ["What is left out", (answer) => meant("masking", answer.masking)],
    ["Scale", (answer) => meant("scale", answer.space)],
    [meant("sure", "evaluation", "Evaluations"), (answer) => count(answer.evaluations)], [meant("sure", "round", "Rounds"), (answer) => count(answer.rounds)],
    ["Stopped because", (answer) => stopWords(answer.stopReason)], [meant("sure", "seed", "Seed"), (answer) => String(answer.seed)],
    ["Time on the server", (answer) => seconds(answer.timing.totalS)], ["Time until it was here", (_answer, side) => seconds(tookS[side])],
  ];
  return html`<table class="costs"><caption class="reader-only">What each side cost</caption>
    <thead><tr><td></td><th scope="col">A</th><th scope="col">B</th></tr></thead>
    <tbody>${rows.map(([name, of]) => html`<tr><th scope="row">${name}</th>${answers.map((answer, side) => html`<td>${of(answer, side)}</td>`)}</tr>`)}</tbody></table>`;
}

function ClassChoice({ labels, label, onLabel }) {
  return html`<label class="class-choice">Class that is explained
    <select dir="auto" value=${label} onChange=${(event) => onLabel(event.target.value)}>
      ${labels.map((each) => html`<option value=${each} selected=${each === label}>${each}</option>`)}</select></label>`;
}

/** @param {{plan: object, answers: object[], contrast: object|null, contrastError: Error|null, tookS: number[], label: string|null, labels: string[], onLabel: Function}} props */
export default function Told({ plan, answers, contrast, contrastError, tookS, label, labels, onLabel }) {
  const [left, right] = answers;
  const found = useMemo(() => compare(plan, answers, contrast, label), [plan, left, right, contrast, label]);
  const { rows, why } = found;
  const noun = plan.sameInput && left.noun !== right.noun ? "part" : left.noun;
  const words = { ...found, nouns: noun === left.noun ? left.nouns : "parts" };
  const heading = plan.differs === "contrast" ? "A − B" : "B − A";
  const context = { differs: plan.differs, contrast: found.contrast, independent: plan.independent, summed: rows.some((row) => row.left.length > 1 || row.right.length > 1), paired: rows.filter((row) => row.difference !== null).length, exact: found.exact };
  return html`<section class="told" aria-labelledby="differences">
    <h2 id="differences">Differences</h2>
    ${labels.length > 1 && html`<${ClassChoice} labels=${labels} label=${label} onLabel=${onLabel} />`}
    <ul class="in-short">${[...predictionWords(left, right, { differs: plan.differs, label }),
      ...(rows.length ? [...differenceWords(rows, words), ...agreementWords(rows, words)] : []), costWords(left, right)]
      .map((sentence) => html`<li>${sentence}</li>`)}</ul>
    ${contrastError && html`<p class="notice bad side-notice" role="alert">The contrast itself failed, so the two columns are subtracted: ${contrastError.message}</p>`}
    ${why && html`<p class="notice side-notice">${why}</p>`}
    ${rows.length > 0 && html`<${Paired} rows=${rows} decimals=${found.decimals} heading=${heading} noun=${noun}
      caption=${`What each ${noun} adds to the ${scaleWords(left)}, farthest apart first; disc: A, square: B, lines: intervals`} />
      <h3>What not to conclude</h3>
      <ul class="cautions">${cautions(left, right, context).map((sentence) => html`<li>${sentence}</li>`)}</ul>`}
    <h3>What each side cost</h3>
    <${Costs} answers=${answers} tookS=${tookS} />
  </section>`;
}

const scaleWords = (answer) => (answer.space === "value" ? "value" : `${answer.space} of the class`);
