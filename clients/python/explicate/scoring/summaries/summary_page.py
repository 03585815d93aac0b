"""A summary as an HTML page, in the style of a single explanation, and as lines of CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from explicate.scoring.summaries.attribution_sums import FeatureFigures, shares
from explicate.scoring.summaries.charts import pictures
from explicate.scoring.summaries.row_sample import SampledRow
from explicate.scoring.summaries.summary import ClassFigures, Summary, top
from explicate.sentences.glossary import glossary
from explicate.views import amounts
from explicate.views.look.sheets import page_style

COLUMNS = (
    *("class", "feature", "rows", "mean_size", "mean_size_lower", "mean_size_upper"),
    *("mean_value", "mean_value_lower", "mean_value_upper"),
)
"""Of a line of CSV; the class is empty over all classes."""
_UNIT = "what it adds"
_SWARM = "rows of all classes drawn at random, a dot for each; hollow where the column has no value"


def csv_lines(summary: Summary) -> Iterator[tuple[object, ...]]:
    """A line for each feature over all classes, and one for each of each class, in the order of `COLUMNS`."""
    whole = ClassFigures("", summary.features)
    for own in (whole, *(each for each in summary.classes if each.label)):
        for one in own.features:
            size, value = (ends or ("", "") for ends in (one.mean_size_interval, one.mean_value_interval))
            yield (own.label, one.feature, one.rows, one.mean_size, *size, one.mean_value, *value)


def drawings(summary: Summary, rows: Sequence[SampledRow], most: int) -> dict[str, str]:
    """The pictures of each class as SVG, by names such as "bars-bad"; without a class "bars" and "swarm"."""
    found: dict[str, str] = {}
    for own in summary.classes:
        title = f"What features add to {own.label or 'the output'}"
        drawn = pictures(title, top(own.features, most), own.label, rows, unit=_UNIT)
        found |= {f"{name}-{own.label}" if own.label else name: svg for name, svg in drawn.items()}
    return found


def page(summary: Summary, rows: Sequence[SampledRow], most: int) -> str:
    """A whole page: counts, then for each class the pictures and the table of features."""
    drawn = drawings(summary, rows, most)
    sections = "".join(_section(own, drawn, most, len(rows)) for own in summary.classes)
    title = f"Summary of {summary.model}" if summary.model else "Summary of scored rows"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>{page_style()}</head><body>'
        f'<div class="explicate"><h1>{escape(title)}</h1>{_counts(summary)}{sections}{_words()}</div></body></html>\n'
    )


def _counts(summary: Summary) -> str:
    told = [("rows", f"{summary.rows:,}"), ("explained", f"{summary.explained:,}")]
    if summary.mean_evaluations is not None:
        told.append(("evaluations a row", f"{summary.mean_evaluations:,.1f}"))
    if summary.values:
        told.append(
            ("values", f"{summary.values.least:.4g} to {summary.values.largest:.4g}, mean {summary.values.mean:.4g}")
        )
    told += [("failed", f"{summary.failed_rows:,}")]
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in summary.notes)
    plain = "".join(f'<tr><td>{name}</td><td class="figure">{escape(text)}</td></tr>' for name, text in told)
    counted = {"label": summary.labels, "stop reason": summary.stop_reasons, "failed because": summary.failed}
    return f"{notes}<table>{plain}</table>" + "".join(
        _counted(name, counts) for name, counts in counted.items() if counts
    )


def _counted(heading: str, counts: Mapping[str, int]) -> str:
    lines = "".join(
        f'<tr><td>{escape(name)}</td><td class="figure">{count:,}</td><td class="figure">{100 * share:.1f} %</td></tr>'
        for name, count, share in shares(counts)
    )
    return f'<table><tr><th>{heading}</th><th class="figure">rows</th><th class="figure">share</th></tr>{lines}</table>'


def _section(own: ClassFigures, drawn: Mapping[str, str], most: int, rows: int) -> str:
    suffix = f"-{own.label}" if own.label else ""
    heading = f"What features add to {own.label}" if own.label else "What features add"
    head = "".join(f'<th class="figure">{name}</th>' for name in ("rows", "mean size", "±", "mean value", "±"))
    lines = "".join(_line(one) for one in top(own.features, most))
    return (
        f"<h2>{escape(heading)}</h2>{_box(drawn[f'bars{suffix}'])}"
        f'<p class="faint">{rows:,} {_SWARM}</p>{_box(drawn[f"swarm{suffix}"])}'
        f"{_box(f'<table><tr><th>feature</th>{head}</tr>{lines}</table>')}"
        '<p class="faint">size: whatever the sign; ±: half of an interval of 95 % over rows</p>'
    )


def _box(wide: str) -> str:
    """What scrolls by itself where the page is narrow."""
    return f'<div class="wide" tabindex="0">{wide}</div>'


def _words() -> str:
    """What the figures are, and what not to conclude from them."""
    words = glossary()
    terms = [words["figure"][name] for name in ("attribution", "mean_size", "swarm")]
    told = "".join(f"<dt>{escape(one.title)}</dt><dd>{escape(one.says)}</dd>" for one in terms)
    cautions = "".join(f"<li>{escape(words['not'][name].says)}</li>" for name in ("cause", "order", "fairness"))
    return f"<h2>Words</h2><dl>{told}</dl><h2>What not to conclude</h2><ul>{cautions}</ul>"


def _line(one: FeatureFigures) -> str:
    digits = decimals(one)
    cells = (
        f"{one.rows:,}",
        amounts.plain_number(one.mean_size, digits),
        half_width(one.mean_size_interval, digits),
        amounts.number(one.mean_value, digits),
        half_width(one.mean_value_interval, digits),
    )
    figures = "".join(f'<td class="figure">{cell}</td>' for cell in cells)
    return f"<tr><td>{escape(one.feature)}</td>{figures}</tr>"


def decimals(one: FeatureFigures) -> int:
    """How many decimals the figures of a feature have: three, or more for what is small."""
    return max(amounts.decimals_for(one.mean_size, digits=2), 3) if one.mean_size < 1000 else 0


def half_width(ends: tuple[float, float] | None, digits: int) -> str:
    """Half of an interval, such as "± 0.012", or nothing."""
    return "" if ends is None else f"± {(ends[1] - ends[0]) / 2:.{digits}f}"
