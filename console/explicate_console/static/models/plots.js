// The plots of a metric: curves beside what they are compared with, and histograms; each as a table, too.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { tickText } from "/static/marks/scales.js";
import { written } from "/static/models/measured.js";
import { plotTable, plotWords, readPlot } from "/static/models/plotted.js";
import { Scroll } from "/static/models/scroll.js";

const SIZE = { width: 360, height: 190, left: 46, right: 14, top: 8, bottom: 22 };

/** Plots of protojson one after the other; those with nothing to draw are left out. */
export function Plots({ plots = [], confidence }) {
  const found = plots.map(readPlot).filter(Boolean);
  return found.length ? html`<div class="plots">${found.map((plot) => html`<${Plot} plot=${plot} confidence=${confidence} />`)}</div>` : null;
}

function Plot({ plot, confidence }) {
  return html`<figure class="plot"><figcaption dir="auto">${plot.title}</figcaption>
    <p class="axis-word" dir="auto">${plot.y}</p>
    <${Drawing} plot=${plot} />
    <p class="axis-word across" dir="auto">${plot.x}</p>
    <ul class="plain legend">${legend(plot).map(({ name, mark }) => html`<li><svg width="26" height="10" aria-hidden="true"><line class=${mark} x1="1" x2="25" y1="5" y2="5" /></svg> <span dir="auto">${name}</span></li>`)}</ul>
    <${Table} plot=${plot} confidence=${confidence} /></figure>`;
}

/** What the lines of a plot are; a single solid line needs no words beside the title. */
function legend({ lines, marks }) {
  return [...lines.map((line) => ({ name: line.name, mark: lineClass(line) })), ...marks.map(({ name, value }, place) => ({ name: `${name} ${written(value)}`, mark: markClass(place) }))];
}

const lineClass = ({ dashed }) => (dashed ? "line compared" : "line");
const markClass = (place) => `at at-${place % 2}`;

function Drawing({ plot }) {
  const { width, height, left, right, top, bottom } = SIZE;
  const { across, up } = plot;
  const x = (value) => left + ((value - across.from) / (across.to - across.from || 1)) * (width - left - right);
  const y = (value) => height - bottom - ((value - up.from) / (up.to - up.from || 1)) * (height - top - bottom);
  return html`<svg class="curve" viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="img" aria-label=${plotWords(plot)}>
    ${up.ticks.map((at) => html`<line class="rail" x1=${left} x2=${width - right} y1=${y(at)} y2=${y(at)} /><text x=${left - 6} y=${y(at) + 4} text-anchor="end">${tickText(at)}</text>`)}
    ${across.ticks.map((at) => html`<line class="tick" x1=${x(at)} x2=${x(at)} y1=${height - bottom} y2=${height - bottom + 4} /><text x=${x(at)} y=${height - bottom + 16} text-anchor="middle">${tickText(at)}</text>`)}
    ${plot.bins.map((bin) => html`<rect class="bin" x=${x(bin.lower)} y=${y(bin.count)} width=${Math.max(x(bin.upper) - x(bin.lower) - 1, 0.5)} height=${y(0) - y(bin.count)}><title>${written(bin.lower)} to ${written(bin.upper)}: ${bin.count}</title></rect>`)}
    <line class="tick" x1=${left} x2=${width - right} y1=${y(0)} y2=${y(0)} />
    ${plot.lines.map((line) => html`<${Line} line=${line} x=${x} y=${y} />`)}
    ${plot.marks.map(({ value }, place) => html`<line class=${markClass(place)} x1=${x(value)} x2=${x(value)} y1=${top} y2=${height - bottom} />`)}
  </svg>`;
}

function Line({ line, x, y }) {
  const whisker = ({ x: at, lower, upper }) => `M${x(at)} ${y(lower)}V${y(upper)}M${x(at) - 3} ${y(lower)}h6M${x(at) - 3} ${y(upper)}h6`;
  const known = line.points.filter(({ lower, upper }) => lower !== null && upper !== null);
  return html`<g class=${line.dashed ? "compared" : ""}>
    <path class="whisker" d=${known.map(whisker).join("")} />
    <polyline class=${lineClass(line)} points=${line.points.map((point) => `${x(point.x)},${y(point.y)}`).join(" ")} />
    ${line.points.map((point) => html`<circle class="dot" cx=${x(point.x)} cy=${y(point.y)} r="3.5"><title>${line.name}, ${tickText(point.x)}: ${written(point.y)}</title></circle>`)}</g>`;
}

function Table({ plot, confidence }) {
  const { heads, rows } = plotTable(plot, confidence);
  const text = (place) => (plot.bins.length ? false : place === 0);
  return html`<details><summary>As a table<span class="unseen">: ${plot.title}</span></summary>
    <${Scroll} name=${`Table of ${plot.title}`}><table><caption class="unseen">${plot.title}</caption>
      <thead><tr>${heads.map((head, place) => html`<th scope="col" dir="auto" class=${text(place) ? "" : "number"}>${head}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((each, place) => html`<td dir="auto" class=${text(place) ? "" : "number"}>${each}</td>`)}</tr>`)}</tbody></table><//>
    ${plot.bins.length > 0 && html`<p class="quiet">A step has its lower end, not its upper one; steps without any are left out.</p>`}</details>`;
}
