// The page Models: every version that the server knows, and one of them in full.
import { html, useRef } from "/static/vendor/htm-preact-standalone.js";
import { useServer } from "/static/server.js";
import { useStyle } from "/static/styles.js";
import { List } from "/static/models/list.js";
import { ModelPage } from "/static/models/model_page.js";
import { byModel } from "/static/models/statuses.js";
import { useChanges } from "/static/models/watch.js";

await useStyle("/static/pages/models.css");

export default function Models({ here }) {
  const { models, trouble, asked } = useServer();
  const watching = useChanges();
  const [model] = here.rest;
  const seen = useRef(null); // a model that leaves the list for a moment keeps its page, with what was asked on it
  const found = byModel(models).find((each) => each.model === model);
  if (found) seen.current = found;
  const versions = seen.current && seen.current.model === model ? seen.current.versions : [];
  if (!asked) return html`<h1>Models</h1><p class="quiet" aria-busy="true">Asking the server.</p>`;
  if (model && versions.length) return html`<${ModelPage} model=${model} wanted=${Number(here.query.get("version")) || 0} versions=${versions} models=${models} />`;
  if (model && trouble) return html`<h1>Models</h1><p dir="auto">Nothing can be told of ${model} now, for the reason above.</p>`;
  if (model) return html`<h1>Models</h1><p dir="auto">The server knows no model ${model}. <a href="#/models">All models</a></p>`;
  return html`<h1>Models</h1>
    ${models.length > 0 ? html`<${List} models=${models} /><p class="quiet">${watching ? "Changes are shown as they happen." : "Asked again every 5 seconds."}</p>`
    : !trouble && html`<p>The server knows no models. Publish one with explicate export or explicate bundle, into the folder that it serves.</p>`}`;
}
