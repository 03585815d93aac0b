// The page Audit: looking a request up in the server's audit log, and asking for its explanation again.
import { html, useEffect, useState } from "/static/vendor/htm-preact-standalone.js";
import { RecordPage } from "/static/audit/record_page.js";
import { RecordSearch } from "/static/audit/record_search.js";
import { useServer } from "/static/server.js";
import { useStyle } from "/static/styles.js";

const styled = useStyle("/static/pages/audit.css");

export default function Audit({ here }) {
  const server = useServer();
  const [ready, setReady] = useState(false);
  useEffect(() => { styled.then(() => setReady(true)); }, []);
  if (!ready) return html`<h1>Audit</h1>`;
  if (here.rest[0]) return html`<div class="audit"><${RecordPage} here=${here} /></div>`;
  return html`<div class="audit"><h1>Audit</h1><${RecordSearch} here=${here} models=${server.models} /></div>`;
}
