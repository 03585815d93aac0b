"""A leaderboard for people and programs: a table, CSV, JSON, and a page that links the reports."""

import csv
import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from os import path
from pathlib import Path
from typing import Any  # JSON values
from urllib.parse import quote

from explicate.views import tables
from explicate.views.look.sheets import page_style
from explicate_standards.leaderboard.board_columns import (
    COLUMNS,
    MASKED,
    NOTE,
    PARETO,
    R2,
    STABILITY,
    heads,
    right_aligned,
)
from explicate_standards.leaderboard.ranking import PRICE, Group, Standing
from explicate_standards.leaderboard.runs import CALIBRATION, LATENCY, ROBUSTNESS, Run

# A board has many columns, so it may be wider than a report; it scrolls where it is wider still.
_STYLE = "<style>body { max-width: 96rem; } th, td { white-space: nowrap; }</style>"
_KINDS = {".md": "card", ".html": "report"}
_NUMBER = ' class="number"'
_CODE = re.compile("`(.*?)`")


def as_text(groups: Sequence[Group], *, wide: bool = False) -> str:
    """A table for each group: in 100 columns, or with all columns."""
    note = NOTE if wide else "\n".join(textwrap.wrap(f"{NOTE} All columns: -o wide.", 100))
    return "\n\n".join(_text(group, wide=wide) for group in groups) + "\n\n" + note


def _text(group: Group, *, wide: bool) -> str:
    columns = [column for column in COLUMNS if wide or column.narrow]
    told = [column.told if wide else column.narrow or column.told for column in columns]
    lines = [tuple(tell(one) for tell in told) for one in group.standings]
    table = tables.table(heads(columns, group), lines, right=right_aligned(columns))
    return f"{_title(group)}\n\n{table}"


def _title(group: Group) -> str:
    rows = f"the same {group.rows:,} held-out rows" if group.rows else "held-out rows"
    held = f", held to the standard {group.standard[:12]}" if group.standard else ""
    return f"{group.measure.title} on {rows}{held}, {group.measure.better} is better"


def as_csv(groups: Sequence[Group]) -> str:
    """One line a recipe."""
    file = io.StringIO()
    found = [line for number, group in enumerate(groups, start=1) for line in _documents(group, number)]
    writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**line, "runs": " ".join(line["runs"])} for line in found)
    return file.getvalue()


def as_documents(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [line for number, group in enumerate(groups, start=1) for line in _documents(group, number)]


def _documents(group: Group, number: int) -> list[dict[str, Any]]:
    return [
        {
            "group": number,
            "run": one.name,
            "seeds": one.seeds,
            "metric": group.measure.id,
            "value": one.value,
            "lower": one.lower,
            "upper": one.upper,
            "best_rank": one.rank[0] if one.rank else None,
            "worst_rank": one.rank[1] if one.rank else None,
            "worst_slice": one.worst[0] if one.worst else None,
            "worst_slice_value": one.worst[1] if one.worst else None,
            CALIBRATION: one.measured(CALIBRATION),
            ROBUSTNESS: one.measured(ROBUSTNESS),
            PRICE: one.mean(PRICE),
            R2: one.mean(R2),
            MASKED: one.mean(MASKED),
            STABILITY: one.mean(STABILITY),
            "size_bytes": one.size_bytes,
            LATENCY: one.measured(LATENCY),
            "train_s": one.train_s,
            "verdict": one.verdict,
            "standard_sha256": group.standard or None,
            PARETO: one.pareto,
            "rows": group.rows or None,
            "runs": [str(run.directory) for run in one.runs],
        }
        for one in group.standings
    ]


def as_page(groups: Sequence[Group], file: Path) -> str:
    """A page that needs nothing else; its links are from where it will be."""
    body = "\n".join(_section(group, file) for group in groups)
    note = _CODE.sub(r"<code>\1</code>", escape(NOTE))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Leaderboard</title>\n'
        f'<meta name="color-scheme" content="light dark">\n{page_style()}\n{_STYLE}\n</head>\n<body>\n'
        f"<h1>Leaderboard</h1>\n{body}\n<p>{note}</p>\n</body>\n</html>\n"
    )


def _section(group: Group, file: Path) -> str:
    named = [head or "pareto" for head in heads(COLUMNS, group)]
    right = right_aligned(COLUMNS)
    header = "".join(f"<th{_NUMBER if place in right else ''}>{escape(name)}</th>" for place, name in enumerate(named))
    lines = "\n".join(f"<tr>{''.join(_cells(one, file))}</tr>" for one in group.standings)
    title = _title(group)
    return (
        f"<h2>{escape(group.measure.title)}</h2>\n<p>{escape(title[:1].upper() + title[1:])}.</p>\n"
        f'<div class="wide" tabindex="0"><table>\n<tr>{header}</tr>\n{lines}\n</table></div>'
    )


def _cells(one: Standing, file: Path) -> list[str]:
    cells = [f"<td{_NUMBER if column.right else ''}>{escape(column.told(one))}</td>" for column in COLUMNS]
    links = [
        f'<a href="{escape(quote(path.relpath(report, file.parent)), quote=True)}">{escape(name)}</a>'
        for run in one.runs
        for name, report in _named(run)
    ]
    if links:
        cells[1] = f"<td>{', '.join(links)}</td>"
    return cells


def _named(run: Run) -> Iterator[tuple[str, Path]]:
    """Reports by what the link is called: the name first, what else there is by what it is."""
    for place, report in enumerate(run.reports):
        yield (run.name if place == 0 else _KINDS.get(report.suffix, report.name)), report
