"""A leaderboard for people and programs: a table, CSV, JSON, and a page that links the reports."""

import csv
import io
from collections.abc import Sequence
from html import escape
from os import path
from pathlib import Path
from typing import Any  # JSON values

from explicate.views import tables
from explicate.views.page_style import PAGE_STYLE
from explicate_standards.leaderboard.ranking import LEAST_SEEDS, PRICE, Group, Standing

_R2, _STABILITY, _MASKED = "additive_r2.median", "stability", "masked_accuracy"
_HEADER = ("RANK", "RUN", "SEEDS", "{metric}", "95 % INTERVAL", "ROWS A PART", "SUM R²", "MASKED", "MB", "TRAINED", "")
_RIGHT = (2, 3, 5, 6, 7, 8, 9)
_PARETO = "pareto"
_NUMBER = ' class="number"'


def as_text(groups: Sequence[Group]) -> str:
    """A table for each group."""
    return "\n\n".join(_text(group) for group in groups) + "\n\n" + _NOTE


_NOTE = (
    "RANK: the best and the worst that chance leaves open, from three seeds on. ROWS A PART: model rows that an "
    "explanation takes for each part, SUM R²: what a sum of attributions says of the model, MASKED: accuracy with "
    "parts removed (`explicate evaluate`). pareto: no other one is better and cheaper to explain."
)


def _text(group: Group) -> str:
    title = f"{group.measure.title} on the same {group.rows:,} held-out rows, {_better(group)} is better"
    header = [one.format(metric=group.measure.id.upper()) for one in _HEADER]
    return title + "\n\n" + tables.table(header, [_line(one) for one in group.standings], right=_RIGHT)


def _line(one: Standing) -> tuple[str, ...]:
    return (
        _rank(one),
        one.name,
        str(len(one.runs)),
        f"{one.value:.4f}",
        f"[{one.lower:.4f}, {one.upper:.4f}]",
        *(_number(one.mean(figure), digits) for figure, digits in ((PRICE, 1), (_R2, 2), (_MASKED, 3))),
        f"{_megabytes(one):.1f}",
        _number(_seconds(one), 0, " s"),
        _PARETO if one.pareto else "",
    )


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
            "seeds": len(one.runs),
            "metric": group.measure.id,
            "value": one.value,
            "lower": one.lower,
            "upper": one.upper,
            "best_rank": one.rank[0] if one.rank else None,
            "worst_rank": one.rank[1] if one.rank else None,
            PRICE: one.mean(PRICE),
            _R2: one.mean(_R2),
            _MASKED: one.mean(_MASKED),
            _STABILITY: one.mean(_STABILITY),
            "size_bytes": max(run.size_bytes for run in one.runs),
            "train_s": _seconds(one),
            _PARETO: one.pareto,
            "rows": group.rows,
            "runs": [str(run.directory) for run in one.runs],
        }
        for one in group.standings
    ]


def as_page(groups: Sequence[Group], file: Path) -> str:
    """A page that needs nothing else; its links are from where it will be."""
    body = "\n".join(_section(group, file) for group in groups)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Leaderboard</title>\n'
        f"{PAGE_STYLE}\n</head>\n<body>\n<h1>Leaderboard</h1>\n{body}\n<p>{escape(_NOTE)}</p>\n</body>\n</html>\n"
    )


def _section(group: Group, file: Path) -> str:
    named = [escape(one.format(metric=group.measure.title)) for one in _HEADER]
    header = "".join(f"<th{_NUMBER if place in _RIGHT else ''}>{name}</th>" for place, name in enumerate(named))
    lines = "\n".join(f"<tr>{''.join(_cells(one, file))}</tr>" for one in group.standings)
    return (
        f"<h2>{escape(group.measure.title)}</h2>\n<p>On the same {group.rows:,} held-out rows; {_better(group)} is "
        f'better.</p>\n<div class="wide"><table>\n<tr>{header}</tr>\n{lines}\n</table></div>'
    )


def _cells(one: Standing, file: Path) -> list[str]:
    cells = [f"<td{_NUMBER if place in _RIGHT else ''}>{escape(cell)}</td>" for place, cell in enumerate(_line(one))]
    links = [
        f'<a href="{escape(path.relpath(report, file.parent), quote=True)}">{escape(run.directory.name)}</a>'
        for run in one.runs
        if (report := run.directory / "report.html").is_file()
    ]
    if links:
        cells[1] = f"<td>{', '.join(links)}</td>"
    return cells


def _better(group: Group) -> str:
    return group.measure.better


def _rank(one: Standing) -> str:
    if one.rank is None:
        return f"– ({len(one.runs)} of {LEAST_SEEDS} seeds)"
    best, worst = one.rank
    return str(best) if best == worst else f"{best}–{worst}"


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def _megabytes(one: Standing) -> float:
    return max(run.size_bytes for run in one.runs) / 1e6


def _seconds(one: Standing) -> float | None:
    known = [run.train_s for run in one.runs if run.train_s is not None]
    return sum(known) / len(known) if known else None
