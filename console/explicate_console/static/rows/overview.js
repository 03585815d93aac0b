// The chosen rows as a whole: what was predicted, what adds most on average, each row as a dot, and slices.
import { html } from "/static/vendor/htm-preact-standalone.js";
import { count, share } from "/static/format.js";
import { both, columnName, quoted } from "/static/rows/conditions.js";
import FeatureBars from "/static/rows/feature_bars.js";
import { useRows } from "/static/rows/rows_api.js";
import Slices from "/static/rows/slices.js";
import Swarm from "/static/rows/swarm.js";

const MOST_LABELS = 12;
export const MOST_SHOWN = 12;

/** @param {{folder: object, state: object, go: Function, chosen: object}} props `chosen`: the folder, filter and search */
export default function Overview({ folder, state, go, chosen }) {
  const { answer, error, busy } = useRows("summary", chosen);
  const classes = answer?.classes ?? [];
  const shown = classes.find((each) => each.label === state.class) ?? largest(classes, answer);
  const narrow = (condition) => go({ filter: both(state.filter, condition), row: "" });
  if (error?.violations?.length) return null; // said at the filter
  return html`${error && html`<p class="notice bad" role="alert">${error.message}</p>`}
    <div class=${`rows-overview${busy ? " rows-busy" : ""}`} aria-busy=${busy}>
    <section class="rows-predicted" aria-labelledby="rows-predicted-title"><h2 id="rows-predicted-title">What was predicted</h2>
      <div class="rows-facts"><${Counts} title="Class" column="label" counts=${answer?.labels ?? []} rows=${answer?.rows} narrow=${folder.columns.some((each) => each.name === "label") && narrow} />
        <${Histogram} told=${answer?.histogram} narrow=${narrow} />
        ${folder.explained && html`<${Counts} title="How explanations ended" column="stop_reason" counts=${answer?.stopReasons ?? []} rows=${answer?.rows} narrow=${narrow} />`}</div></section>
    ${folder.explained && html`<${Added} folder=${folder} state=${state} go=${go} chosen=${chosen} answer=${answer} shown=${shown} />`}
    <${Slices} folder=${folder} state=${state} go=${go} chosen=${chosen} narrow=${narrow} />
  </div>`;
}

/** The class that most rows are explained for. */
function largest(classes, answer) {
  const order = (answer?.labels ?? []).map((each) => each.name);
  return [...classes].sort((one, other) => order.indexOf(one.label) - order.indexOf(other.label))[0];
}

function Added({ folder, state, go, chosen, answer, shown }) {
  const classes = answer?.classes ?? [];
  const label = shown?.label ?? "";
  const features = (shown?.features ?? []).slice(0, MOST_SHOWN);
  const expected = Math.min(folder.features.length || MOST_SHOWN, MOST_SHOWN); // so that nothing moves when they come
  const pick = (feature) => {
    const column = folder.kept.includes(feature) ? feature : state.slice;
    go({ added: feature, slice: column, sort: `added.${feature}`, descending: true });
  };
  return html`<section aria-labelledby="rows-added-title"><div class="rows-list-head"><h2 id="rows-added-title">What features add${label ? html` to <bdi dir="auto">${label}</bdi>` : ""}</h2>
    ${classes.length > 1 && html`<label>Class<select value=${label} onChange=${(event) => go({ class: event.target.value })}>
      ${classes.map((each) => html`<option value=${each.label}>${each.label || "no class"}</option>`)}</select></label>`}</div>
    <div class="rows-charts">
      <${FeatureBars} features=${features} expected=${expected} of=${shown?.of ?? 0} picked=${state.added} onPick=${pick} />
      <${Swarm} chosen=${chosen} expected=${expected} label=${label} features=${features.map((each) => each.feature)} onPick=${(row) => go({ row })} />
    </div>
    ${answer?.strongestOnly > 0 && html`<p class="quiet">Only the ${answer.strongestOnly} strongest features of each row were kept: means are over rows where a feature is among them, and larger than over all rows.</p>`}
    <p class="quiet">These say what the model uses. They do not say that changing a feature in the world would change what happens.</p></section>`;
}

function Counts({ title, column, counts, rows, narrow }) {
  if (!counts.length) return null;
  const most = counts[0].rows;
  return html`<div class="rows-counts"><h3>${title}</h3><table><tbody>${counts.slice(0, MOST_LABELS).map((each) => html`<tr>
    <th scope="row">${narrow && each.name !== "not explained"
      ? html`<button class="rows-sort" dir="auto" title="Show these rows alone" onClick=${() => narrow(`${columnName(column)} = ${quoted(each.name)}`)}><span class="rows-cell">${each.name}</span></button>`
      : html`<bdi dir="auto" class="rows-cell">${each.name}</bdi>`}</th>
    <td class="rows-share"><span class="rows-meter" style=${{ width: `${(100 * each.rows) / most}%` }}></span></td>
    <td class="number">${count(each.rows)}</td><td class="number quiet">${share(each.rows / rows)}</td></tr>`)}</tbody></table>
    ${counts.length > MOST_LABELS && html`<p class="quiet">${counts.length - MOST_LABELS} more</p>`}</div>`;
}

function Histogram({ told, narrow }) {
  if (!told) return null;
  const most = Math.max(1, ...told.counts);
  const ends = (place) => told.counts.length && [place, place + 1].map((each) => told.least + ((told.most - told.least) * each) / told.counts.length);
  const figure = (value) => String(Number(value.toPrecision(6)));
  const title = told.of === "value" ? "Predicted value" : "Probability of the predicted class";
  return html`<div class="rows-histogram"><h3>${title}</h3>
    <ol class="rows-bins">${told.counts.map((rows, place) => {
      const [low, high] = ends(place);
      const last = place === told.counts.length - 1;
      const name = `${figure(low)} to ${figure(high)}: ${count(rows)} rows`;
      return html`<li><button disabled=${!rows} title=${name} aria-label=${name} onClick=${() => narrow(`${told.of} >= ${figure(low)} and ${told.of} ${last ? "<=" : "<"} ${figure(high)}`)}>
        <span style=${{ height: `${(100 * rows) / most}%` }}></span></button></li>`;
    })}</ol><div class="rows-ends"><span>${figure(told.least)}</span><span>${figure(told.most)}</span></div></div>`;
}
