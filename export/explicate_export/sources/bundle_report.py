"""report.html of a bundle whose model somebody else made: what it is, how close the graph is, how good it is on the
inputs that were given. It needs nothing else, and strings of others cannot become markup.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any  # JSON values

from explicate.sentences.glossary import Term, glossary, metric_terms
from explicate.v1 import bundle_pb2
from explicate.views.look.sheets import page_style
from explicate_bundle.telling.lay_page import lay_page
from explicate_export.card.plain_words import lay_facts
from explicate_export.described import DescribedModel
from explicate_export.export import Published
from explicate_export.markdown import number, words
from explicate_export.model_card import interval_of, scalar_metrics
from explicate_export.sources.sources import Brought
from explicate_standards.run_report import section
from explicate_standards.standard.check import Checked

_MOST_LABELS = 50  # in the table; a model may have thousands
Rows = Sequence[tuple[str, str]]


def report_of(brought: Brought, name: str) -> Callable[[Published], str]:
    """What makes the page of a bundle that is called `name`."""

    def page(published: Published) -> str:
        parts = "\n".join(_sections(brought, name, published))
        return _PAGE.format(title=escape(name), style=page_style(), body=parts)

    return page


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}: bundle report</title>
{style}
</head>
<body>
{body}
</body>
</html>
"""


def _sections(brought: Brought, name: str, published: Published) -> Iterator[str]:
    model, parts = brought.model.described, published.parts
    parity, plural, origin = parts.parity, model.kind.reads.plural, model.origin
    yield f"<h1>{escape(name)}</h1>"
    yield f"<p>{_plain(model.objective.summary(model.record, parts.card.words))} {_plain(parts.card.origin)}</p>"
    yield (
        f'<p class="verdict"><strong>Fidelity:</strong> on {parity.inputs} {plural}, in batches and alone, the graph '
        f"and {escape(origin.library)} differ by at most {parity.difference:.1e} {escape(parity.scale.words)} "
        f"(allowed: {parity.scale.limit:g}); what {escape(origin.original)} answered for the {parity.trained} given "
        f"ones, through {escape(origin.encoder)}, it meets within {parity.trained_difference:.1e}.</p>"
    )
    if brought.notes:
        yield "<h2>What to know</h2>"
        yield "<ul>" + "".join(f'<li dir="auto">{_plain(note)}</li>' for note in brought.notes) + "</ul>"
    yield from _plain_words(model, published.checked)
    yield from _quality(model)
    yield "<h2>Outputs</h2>"
    yield _table(("index", model.objective.per_output), _outputs(model))
    yield "<h2>The bundle</h2>"
    yield _table(("", ""), list(_facts(published.manifest, brought)))
    if parts.variants:
        yield "<h2>Variants</h2>"
        yield _table(
            ("precision", ""),
            [
                (f"{one.precision} ({one.how})", f"{one.outcome}: {'; '.join(one.faults) or one.figures}")
                for one in parts.variants
            ],
        )
    if published.evaluation is not None:
        yield section(published.evaluation, whose=origin.inputs)
    known = glossary()
    yield "<h2>Words</h2>"
    yield _words([known["study"]["fidelity"], *metric_terms(model.test_metrics).values(), known["report"]["interval"]])


def _plain_words(model: DescribedModel, checked: Checked | None) -> Iterator[str]:
    yield "<h2>In plain words</h2>"
    for part in lay_page(lay_facts(model, checked)):
        yield f'<h3>{escape(part.question)}</h3>\n<p dir="auto">{escape(" ".join(part.said))}</p>'
        if part.items:
            yield "<ul>" + "".join(f'<li dir="auto">{escape(item)}</li>' for item in part.items) + "</ul>"
        if part.after:
            yield f"<p>{escape(part.after)}</p>"


def _quality(model: DescribedModel) -> Iterator[str]:
    yield f"<h2>How good it is on {escape(model.origin.metrics_of)}</h2>"
    if not model.test_metrics:
        yield (
            '<p class="quiet">Not measured: the inputs do not say what is right of them. Give it in a column '
            "(<code>--column label=COLUMN</code>).</p>"
        )
        return
    metrics: dict[str, Any] = dict(model.test_metrics)
    rows = []
    for key, value in scalar_metrics(metrics).items():
        ends = interval_of(metrics, key)
        rows.append((words(key), number(value) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends else "")))
    yield _table(("metric", "value [95 % interval]"), rows)
    yield (
        '<p class="quiet">Intervals by a bootstrap over these inputs (2,000 draws). Whether the model saw them in its '
        "training is not known here.</p>"
    )


def _outputs(model: DescribedModel) -> Rows:
    names = model.labels or (model.record.target_name,)
    rows = [(str(index), label) for index, label in enumerate(names[:_MOST_LABELS])]
    more = len(names) - _MOST_LABELS
    return [*rows, ("…", f"and {more} more")] if more > 0 else rows


def _facts(manifest: bundle_pb2.Bundle, brought: Brought) -> Iterator[tuple[str, str]]:
    described = brought.model.described
    yield "model", brought.model.architecture
    yield "compared on", f"{len(brought.model.held_out)} {described.origin.inputs} {described.kind.reads.plural}"
    yield "precision", manifest.precision
    yield "tools", ", ".join(f"{name} {version}" for name, version in sorted(manifest.provenance.tool_versions.items()))


def _plain(markdown: str) -> str:
    """A sentence of the card, whose code quotes are the only markup in it."""
    parts = escape(markdown).split("`")
    return "".join(part if place % 2 == 0 else f'<code dir="auto">{part}</code>' for place, part in enumerate(parts))


def _words(terms: Sequence[Term]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(one.title)}</dt><dd>{escape(one.says)}</dd>" for one in terms) + "</dl>"


def _table(head: tuple[str, str], rows: Rows) -> str:
    lines = [f"<tr><th>{escape(head[0])}</th><th>{escape(head[1])}</th></tr>"] if any(head) else []
    lines += [f'<tr><td dir="auto">{escape(left)}</td><td dir="auto">{escape(right)}</td></tr>' for left, right in rows]
    return '<div class="wide" tabindex="0"><table>\n' + "\n".join(lines) + "\n</table></div>"
