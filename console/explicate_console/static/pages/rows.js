// The page Rows: a folder of scored rows as a whole, cut and filtered, down to one row.
import { html, useEffect } from "/static/vendor/htm-preact-standalone.js";
import { count } from "/static/format.js";
import FilterForm from "/static/rows/filter_form.js";
import { goer, readPlace } from "/static/rows/place.js";
import Overview from "/static/rows/overview.js";
import RowPanel from "/static/rows/row_panel.js";
import RowTable from "/static/rows/row_table.js";
import { useFolders, useRows } from "/static/rows/rows_api.js";
import { useStyle } from "/static/styles.js";

await Promise.all(["/static/marks/marks.css", "/static/pages/rows.css"].map(useStyle));

const PAGE = 50;

/** @param {{here: {rest: string[], query: URLSearchParams}}} props */
export default function Rows({ here }) {
  const { folders, error, refresh } = useFolders();
  const state = readPlace(here);
  const folder = folders?.find((each) => each.name === (state.folder || folders[0]?.name));
  if (!folders) return html`<h1>Rows</h1>${error ? html`<${Trouble} error=${error} refresh=${refresh} />` : html`<p class="quiet" aria-busy="true">Looking at the folders</p>`}`;
  if (!folders.length) return html`<${NoFolder} />`;
  return html`<h1>Rows</h1>
    <${FolderChoice} folders=${folders} folder=${folder} refresh=${refresh} />
    ${error && html`<p class="notice bad" role="alert">${error.message}</p>`}
    ${!folder && html`<p class="notice bad" role="alert">There is no folder <bdi dir="auto">${state.folder}</bdi> here. Choose one of those above.</p>`}
    ${folder?.trouble && html`<p class="notice bad" role="alert" dir="auto">${folder.trouble}</p>`}
    ${folder && !folder.trouble && html`<${Folder} key=${folder.name} folder=${folder} state=${{ ...state, folder: folder.name }} />`}`;
}

function Trouble({ error, refresh }) {
  return html`<div class="notice bad" role="alert"><p>${error.message}</p><button onClick=${refresh}>Ask again</button></div>`;
}

/** How to come to a folder. */
function NoFolder() {
  return html`<h1>Rows</h1>
    <p class="lead">This page shows what <code>explicate score</code> wrote: many rows with their predictions and explanations.</p>
    <p>This console was started without such a folder. Start it with one:</p>
    <pre><code>explicate score --model MODEL --input rows.parquet --output scored --explain kernel-shap
explicate console --rows scored</code></pre>`;
}

function FolderChoice({ folders, folder, refresh }) {
  return html`<div class="rows-folders">
    <label>Folder<select value=${folder?.name ?? ""} onChange=${(event) => { location.hash = `#/rows/${encodeURIComponent(event.target.value)}`; }}>
      ${!folder && html`<option value="">choose a folder</option>`}
      ${folders.map((each) => html`<option value=${each.name}>${each.name}</option>`)}</select></label>
    ${folder && !folder.trouble && html`<p class="rows-told"><strong><bdi dir="auto">${folder.model.model}</bdi></strong> version ${folder.model.version}, ${count(folder.rows)} rows with an answer${folder.failed ? html`, ${count(folder.failed)} that failed` : ""}.
      ${" "}<${RunState} folder=${folder} /></p>`}
    <button onClick=${refresh}>Look again</button>
  </div>
  ${folder?.unreadable?.length > 0 && html`<details class="notice bad"><summary>${count(folder.unreadable.length)} of its files cannot be read and ${folder.unreadable.length === 1 ? "is" : "are"} left out</summary>
    <ul>${folder.unreadable.slice(0, 20).map((each) => html`<li dir="auto"><code>${each.file}</code>: ${each.why}</li>`)}</ul></details>`}`;
}

function RunState({ folder }) {
  if (folder.state === "finished" && !folder.missingParts) return "The run is finished.";
  const parts = folder.parts + folder.missingParts;
  return html`<span class="rows-unfinished">The run is not finished: ${count(folder.parts)} of ${count(parts)} parts are there. This page shows those.</span>`;
}

function Folder({ folder, state }) {
  const go = goer(state);
  const chosen = { folder: folder.name, snapshot: folder.snapshot, filter: state.filter, search: state.search };
  const page = useRows("page", { ...chosen, failed: state.failed, sort: state.sort, descending: state.descending, start: state.start, count: PAGE });
  const { answer } = page;
  useEffect(() => { // a page that is no longer there
    if (answer && answer.start >= answer.total && answer.start > 0) go({ start: 0 });
  }, [answer]);
  return html`
    <${FilterForm} folder=${folder} state=${state} go=${go} page=${page} key=${`${state.filter}\n${state.search}`} />
    ${!state.failed && !page.error && html`<${Overview} folder=${folder} state=${state} go=${go} chosen=${chosen} />`}
    <${RowTable} folder=${folder} state=${state} go=${go} page=${page} size=${PAGE} />
    ${state.row && html`<${RowPanel} folder=${folder} name=${state.row} close=${() => go({ row: "" })} />`}`;
}
