// What each feature adds on average: a bar for the mean size, a whisker for where that mean lies.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, decimalsFor, number, plainNumber } from "/static/format.js";

/** @param {{features: object[], expected: number, of: number, picked: string, onPick: (feature: string) => void}} props */
export default function FeatureBars({ features, expected, of, picked, onPick }) {
  const most = Math.max(...features.map((each) => each.meanSizeInterval?.[1] ?? each.meanSize), 0) || 1;
  const decimals = Math.max(3, decimalsFor(features[0]?.meanSize ?? 1, 2));
  return html`<figure class="rows-bars"><figcaption>On average over rows: the mean size, whatever its sign. The line at a bar's end is an interval of 95 %.</figcaption>
    <table><thead><tr><th scope="col">feature</th><th scope="col"><span class="rows-said">bar</span></th><th scope="col" class="number">mean size</th><th scope="col" class="number">mean</th></tr></thead>
    <tbody>${features.map((each) => html`<${Bar} key=${each.feature} one=${each} most=${most} decimals=${decimals} isPicked=${each.feature === picked} onPick=${onPick} />`)}
      ${Array.from({ length: Math.max(expected - features.length, 0) }, () => html`<tr aria-hidden="true"><td colspan="4">\u00a0</td></tr>`)}</tbody></table>
    <p class="rows-key"><span class="rows-swatch raises"></span>raises on average <span class="rows-swatch lowers"></span>lowers on average</p>
    <p class="quiet">A click on a feature sorts the rows by what it adds, and cuts them into slices by its column.${of > features.length ? ` ${count(of - features.length)} more features add less.` : ""}</p></figure>`;
}

function Bar({ one, most, decimals, isPicked, onPick }) {
  const [low, high] = one.meanSizeInterval ?? [one.meanSize, one.meanSize];
  const at = (value) => `${(97 * Math.max(value, 0)) / most}%`;
  const half = (ends) => (ends ? html` <span class="quiet">± ${plainNumber((ends[1] - ends[0]) / 2, decimals)}</span>` : "");
  return html`<tr><th scope="row"><button class="rows-sort" aria-pressed=${isPicked} onClick=${() => onPick(one.feature)} title=${one.feature}><bdi dir="auto" class="rows-cell">${one.feature}</bdi></button></th>
    <td class="rows-track" title=${`over ${count(one.rows)} rows`}><span class=${`rows-bar ${one.meanValue > 0 ? "raises" : "lowers"}`} style=${{ width: at(one.meanSize) }}></span>
      <span class="rows-whisker" style=${{ left: at(low), width: at(high - low) }}></span></td>
    <td class="number">${plainNumber(one.meanSize, decimals)}${half(one.meanSizeInterval)}</td><td class="number">${number(one.meanValue, decimals)}</td></tr>`;
}
