// Figures with their intervals as rows of a table, each with a strip on the scale of its group; and a curve.
import { html } from "/static/vendor/htm-preact-standalone.js";
import Meaning from "/static/meaning.js";
import { endsOf, written } from "/static/models/measured.js";

const WIDTH = 220;
const HEIGHT = 22;
const EDGE = 6;

/** A table of figures {name, value, lower, upper, and term, if the glossary has one} that share the axis from `from` to `to`. */
export function Strips({ figures, from, to, caption, confidence = 0.95 }) {
  const place = (value) => EDGE + ((value - from) / (to - from || 1)) * (WIDTH - 2 * EDGE);
  return html`<table class="strips"><caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">Figure</th><th scope="col" class="number">Value</th>
      <th scope="col" class="number">${Math.round(confidence * 100)} % interval</th>
      <th scope="col" class="axis"><span class="unseen">Drawn from ${written(from)} to ${written(to)}</span>
        <span aria-hidden="true" class="ends"><span>${axis(from)}</span><span>${axis(to)}</span></span></th></tr></thead>
    <tbody>${figures.map((figure) => html`<tr key=${figure.id}>
      <th scope="row" dir="auto" title=${figure.id}>${figure.term ? html`<${Meaning} group="report" name=${figure.term}>${figure.name}<//>` : figure.name}</th>
      <td class="number">${written(figure.value)}</td>
      <td class="number">${endsOf(figure)}</td>
      <td><${Strip} figure=${figure} place=${place} from=${from} to=${to} /></td></tr>`)}
    </tbody></table>`;
}

const axis = (end) => (Number.isInteger(end) ? String(end) : String(Number(end.toPrecision(3))));

function Strip({ figure, place, from, to }) {
  const middle = HEIGHT / 2;
  const { value, lower, upper } = figure;
  return html`<svg class="strip" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} width=${WIDTH} height=${HEIGHT} aria-hidden="true">
    <line class="rail" x1=${place(from)} x2=${place(to)} y1=${middle} y2=${middle} />
    ${from < 0 && html`<line class="zero" x1=${place(0)} x2=${place(0)} y1="2" y2=${HEIGHT - 2} />`}
    ${lower !== null && upper !== null && html`<path class="whisker" d=${`M${place(lower)} 6v10M${place(lower)} ${middle}H${place(upper)}M${place(upper)} 6v10`} />`}
    ${value !== null && html`<circle class="dot" cx=${place(value)} cy=${middle} r="4" />`}
  </svg>`;
}

const CURVE = { width: 360, height: 190, left: 40, right: 12, top: 12, bottom: 38 };

/** The curve of points {x: 0..1, value, lower, upper}; its table beside it says the same in figures. */
export function RemovalCurve({ points, title }) {
  const { width, height, left, right, top, bottom } = CURVE;
  const x = (share) => left + share * (width - left - right);
  const y = (value) => height - bottom - value * (height - top - bottom);
  const words = points.map((point) => `${Math.round(point.x * 100)} % removed: ${written(point.value)}`).join("; ");
  return html`<svg class="curve" viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="img" aria-label=${`${title}. ${words}`}>
    ${[0, 0.5, 1].map((at) => html`<line class="rail" x1=${left} x2=${width - right} y1=${y(at)} y2=${y(at)} />
      <text x=${left - 6} y=${y(at) + 4} text-anchor="end">${at}</text>`)}
    ${[0, 0.25, 0.5, 0.75, 1].map((at) => html`<text x=${x(at)} y=${height - bottom + 16} text-anchor="middle">${at * 100}</text>`)}
    <text x=${x(0.5)} y=${height - 6} text-anchor="middle">% of the parts removed at random</text>
    ${points.map(({ x: at, lower, upper }) => lower !== null && upper !== null && html`<path class="whisker" d=${`M${x(at)} ${y(lower)}V${y(upper)}M${x(at) - 4} ${y(lower)}h8M${x(at) - 4} ${y(upper)}h8`} />`)}
    <polyline class="line" points=${points.map((point) => `${x(point.x)},${y(point.value)}`).join(" ")} />
    ${points.map((point) => html`<circle class="dot" cx=${x(point.x)} cy=${y(point.value)} r="4" />`)}
  </svg>`;
}
