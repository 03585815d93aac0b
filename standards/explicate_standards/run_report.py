"""What an evaluation adds to the run that its bundle was made of: figures in metrics.json, a section in report.html.

`interpretability.json` has all of it, with the figures of each input, so that two runs can be compared input by input.
"""

import json
from collections.abc import Callable
from html import escape
from pathlib import Path

from explicate.views.look.inlined import inlined
from explicate_standards.evaluation import Evaluation, MetricResult
from explicate_standards.plots.drawings import drawn
from explicate_standards.plots.evaluation_plots import plots
from explicate_standards.told import as_document

DOCUMENT_NAME = "interpretability.json"
METRICS_KEY = "interpretability_metrics"
"""Of metrics.json, beside what training says of its terms, "interpretability"."""
_BEGIN, _END = "<!-- interpretability: begin -->", "<!-- interpretability: end -->"
# The headings of a report that the section comes before, the best one first.
_BEFORE = ("<h2>Training</h2>", "<h2>Words</h2>", "</body>")


def add_to_run(directory: Path, evaluation: Evaluation, *, say: Callable[[str], None]) -> None:
    """Add an evaluation to a run, in the place of an earlier one; `say` hears what could not be written."""
    try:
        document = as_document(evaluation)
        _replace(directory / DOCUMENT_NAME, json.dumps(document, indent=2, allow_nan=False) + "\n")
        _add_to_metrics(directory / "metrics.json", evaluation)
        _add_to_report(directory / "report.html", section(evaluation))
    except (OSError, ValueError) as error:
        say(f"the run's own files could not take the figures ({error}); the bundle has them")


def _add_to_metrics(path: Path, evaluation: Evaluation) -> None:
    metrics = json.loads(path.read_text(encoding="utf-8"))
    known = [figure for result in evaluation.results for figure in result.figures.values()]
    metrics[METRICS_KEY] = {
        "inputs": len(evaluation.rows.inputs),
        **{figure.name: figure.value for figure in known},
        "intervals": {figure.name: [figure.lower, figure.upper] for figure in known},
    }
    _replace(path, json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _add_to_report(path: Path, added: str) -> None:
    if not path.is_file():
        return
    page = path.read_text(encoding="utf-8")
    first, last = page.find(_BEGIN), page.find(_END)
    if 0 <= first < last:
        page = page[:first] + page[last + len(_END) :].lstrip("\n")
    place = next((found for heading in _BEFORE if (found := page.find(heading)) >= 0), len(page))
    _replace(path, f"{page[:place]}{_BEGIN}\n{added}\n{_END}\n{page[place:]}")


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def section(evaluation: Evaluation, *, whose: str = "test") -> str:
    """The section of a report, in its style sheet; `whose` inputs they are: "test", "given"."""
    what = evaluation.model.kind.reads.plural
    inputs = f"{len(evaluation.rows.inputs):,} {whose} {what}"
    rows = "\n".join(_row(result) for result in evaluation.results)
    of_metrics = plots(evaluation).values()
    figures = "\n".join(inlined(drawn(plot), plot.title) for of_metric in of_metrics for plot in of_metric)
    return f"""<h2>How well it can be explained</h2>
<p class="quiet">Measured on {inputs} through the exported graph, as a server explains it: kernel-shap at its defaults.
In brackets 95 % intervals, by a bootstrap over these {what} (2,000 draws).</p>
<div class="wide" tabindex="0"><table>
  <tr><th>metric</th><th class="number">value</th><th>what it says</th></tr>
{rows}
</table></div>
<div class="pair">
{figures}
</div>"""


def _row(result: MetricResult) -> str:
    if result.missing:
        figures = "–"
    else:
        figures = "<br>".join(
            f"{escape(_own_name(result, one.name))} {one.value:.3f} "
            f'<span class="quiet">[{one.lower:.3f}, {one.upper:.3f}]</span>'
            for one in result.figures.values()
        )
    title, sentence = escape(result.metric.title), escape(result.sentence)
    return f'  <tr><td>{title}</td><td class="number">{figures}</td><td>{sentence}</td></tr>'


def _own_name(result: MetricResult, name: str) -> str:
    return name.removeprefix(result.metric.id).lstrip(".").replace("_", " ")
