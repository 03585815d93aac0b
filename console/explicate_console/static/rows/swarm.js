// Some rows drawn at random, each a dot at what a feature adds to it, coloured by what its own column holds.
import { html, useEffect, useMemo, useRef, useState } from "/static/vendor/htm-preact-standalone.js";
import { cell, count, number, plainNumber } from "/static/format.js";
import { ofFilter, useRows } from "/static/rows/rows_api.js";
import { drawSwarm, layOut, near, ROW, TOP, BOTTOM } from "/static/rows/swarm_drawing.js";

/** @param {{chosen: object, expected: number, label: string, features: string[], onPick: (row: string) => void}} props */
export default function Swarm({ chosen, expected, label, features, onPick }) {
  const { answer, error, busy } = useRows("swarm", features.length ? { ...chosen, label, features } : null);
  const [width, setWidth] = useState(0);
  const [theme, setTheme] = useState(0);
  const [at, setAt] = useState(null); // the number of a dot
  const canvas = useRef(null);
  const box = useRef(null);
  const height = TOP + ROW * Math.max(features.length, expected) + BOTTOM;
  const laid = useMemo(() => (width && answer ? layOut(answer.dots, features, width) : null), [answer, features.join("\n"), width]);
  useEffect(() => {
    const seen = new ResizeObserver(() => setWidth(Math.round(box.current?.clientWidth ?? 0)));
    seen.observe(box.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const turned = () => setTheme((before) => before + 1);
    dark.addEventListener("change", turned);
    return () => { seen.disconnect(); dark.removeEventListener("change", turned); };
  }, []);
  useEffect(() => setAt(null), [answer]);
  useEffect(() => { if (laid) drawSwarm(canvas.current, laid, { width, height, at }); }, [laid, at, theme]);
  const found = at === null ? null : laid?.dots[at] ?? null;
  const point = (event) => {
    const place = canvas.current.getBoundingClientRect();
    setAt(laid ? near(laid, event.clientX - place.left, event.clientY - place.top) : null);
  };
  const keys = (event) => {
    const to = laid && step(laid, at, event.key);
    if (to !== null && to !== undefined && to !== false) { event.preventDefault(); setAt(to); }
    if ((event.key === "Enter" || event.key === " ") && found) { event.preventDefault(); onPick(found.id); }
    if (event.key === "Escape") setAt(null);
  };
  return html`<figure class="rows-swarm"><figcaption>${answer ? `${count(answer.drawn)} of ${count(answer.of)} rows, drawn at random and always the same: a dot for each.` : "Rows as dots."} To the right: raises. To the left: lowers.</figcaption>
    ${error && !ofFilter(error) && html`<p class="notice bad" role="alert">${error.message}</p>`}
    <div class="rows-canvas" ref=${box} style=${{ height: `${height}px` }} aria-busy=${busy}>
      <canvas ref=${canvas} tabindex="0" role="application" aria-roledescription="chart of dots"
        aria-label=${`What each feature adds to each row. Arrow keys go from dot to dot and from feature to feature, Enter opens the row. A table of the same follows.`}
        style=${{ width: "100%", height: `${height}px` }} onPointerMove=${point} onPointerLeave=${() => setAt(null)} onClick=${() => found && onPick(found.id)} onKeyDown=${keys}></canvas></div>
    <p class="rows-dot" role="status"><${Dot} dot=${found} /></p>
    <${Legend} dots=${laid?.dots ?? []} />
    <${AsTable} laid=${laid} features=${features} /></figure>`;
}

function Dot({ dot }) {
  if (!dot) return html`<span class="quiet">Point at a dot for its row, its figure and its interval; a click opens the row.</span>`;
  const half = dot.lower === null || dot.upper === null ? null : (dot.upper - dot.lower) / 2;
  return html`Row ${count(dot.row)}: <bdi dir="auto">${dot.feature}</bdi>${"holds" in dot && html` = <bdi dir="auto">${cell(dot.holds)}</bdi>`} adds <strong>${number(dot.value)}</strong>${half === null ? "" : half > 0 ? ` ± ${plainNumber(half)}` : ", exact"}`;
}

function Legend({ dots }) {
  if (!dots.some((dot) => "holds" in dot)) return html`<p class="rows-key"><span class="rows-swatch raises"></span>raises <span class="rows-swatch lowers"></span>lowers</p>`;
  return html`<p class="rows-key"><span class="rows-said">Colours: </span>its column holds <span class="rows-swatch least"></span>the least <span class="rows-swatch middle"></span>the middle, or no order <span class="rows-swatch most"></span>the most <span class="rows-swatch hollow"></span>nothing</p>`;
}

/** The dots of each feature in five figures. */
function AsTable({ laid, features }) {
  const quantile = (sorted, share) => sorted[Math.round((sorted.length - 1) * share)];
  return html`<details><summary>The dots as a table</summary><div class="wide" tabindex="0" role="group" aria-label="The dots as a table"><table>
    <thead><tr><th scope="col">feature</th>${["rows", "least", "a quarter below", "the middle", "a quarter above", "most"].map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
    <tbody>${features.map((feature) => {
      const values = (laid?.dots ?? []).filter((dot) => dot.feature === feature).map((dot) => dot.value).sort((one, other) => one - other);
      return html`<tr><th scope="row"><bdi dir="auto" class="rows-cell">${feature}</bdi></th><td class="number">${count(values.length)}</td>
        ${[0, 0.25, 0.5, 0.75, 1].map((each) => html`<td class="number">${values.length ? number(quantile(values, each)) : "–"}</td>`)}</tr>`;
    })}</tbody></table></div></details>`;
}

/** The dot that a key leads to: the next smaller or larger of the same feature, or the nearest one of the feature below. */
function step(laid, at, key) {
  const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], Home: "first", End: "last" };
  const move = moves[key];
  if (!move || !laid.dots.length) return null;
  if (at === null) return 0;
  const { line, value } = laid.dots[at];
  const own = (which) => laid.byLine[which] ?? [];
  if (move === "first") return own(line)[0];
  if (move === "last") return own(line).at(-1);
  if (move[0] === 0) return own(line)[own(line).indexOf(at) + move[1]] ?? at;
  const others = own(line + move[0]);
  return others.length ? others.reduce((best, each) => (Math.abs(laid.dots[each].value - value) < Math.abs(laid.dots[best].value - value) ? each : best)) : at;
}
