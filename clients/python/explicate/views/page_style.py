"""The style sheet of pages that people look at: reports of training, of studies and of bundles."""

PAGE_STYLE = """\
<style>
  :root { --ink: #222; --faint: #666; --line: #ddd; --soft: #eee; --box: #f6f6f6; --good: #2f7d32; --bad: #b3261e; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e4e4e4; --faint: #a5a5a5; --line: #444; --soft: #333; \
--box: #1e1e1e; --good: #81c784; --bad: #ff8a80; }
    body { background: #121212; }
  }
  body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 62rem; margin: 2rem auto; \
padding: 0 1rem; overflow-wrap: break-word; }
  a { color: inherit; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
  h3 { font-size: 1rem; margin: 1.4rem 0 .2rem; }
  .wide { overflow-x: auto; } table { border-collapse: collapse; margin: .6rem 0; }
  th, td { padding: .25rem .8rem .25rem 0; vertical-align: top; }
  th { text-align: left; font-weight: 600; } \
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
  tr + tr td { border-top: 1px solid var(--soft); } \
.pair { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
  /* The drawings are on white, so that their ink is seen on a dark page, too. */
  img { max-width: 100%; } img.drawing { background: #fff; border-radius: 4px; }
  pre { background: var(--box); padding: .8rem; overflow-x: auto; font-size: .85rem; }
  .text { white-space: pre-wrap; overflow-wrap: anywhere; } .quiet { color: var(--faint); } \
figure { margin: 0; min-width: 0; max-width: 100%; }
  .verdict { border-left: 4px solid var(--good); background: var(--box); padding: .5rem .8rem; } \
.verdict.failed { border-color: var(--bad); }
  dt { font-weight: 600; } dd { margin: 0 0 .4rem 1rem; }
</style>"""
