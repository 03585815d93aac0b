"""The section of a run's report on labels that are likely wrong, added to it or put in the place of an earlier one."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from explicate_training.label_review.doubts import Doubted
from explicate_training.label_review.review_file import ReviewRow

_BEGIN, _END = "<!-- labels: begin -->", "<!-- labels: end -->"
_BEFORE = ("<h2>Data</h2>", "<h2>Words</h2>", "</body>")  # the headings it comes before, the best one first
_SHOWN, _CHARACTERS = 30, 500


def add_to_report(path: Path, doubted: Doubted, rows: Sequence[ReviewRow], counted: str) -> None:
    """Adds the section to report.html, which is written whole or not at all."""
    page = path.read_text(encoding="utf-8")
    first, last = page.find(_BEGIN), page.find(_END)
    if 0 <= first < last:
        page = page[:first] + page[last + len(_END) :].lstrip("\n")
    place = next((found for heading in _BEFORE if (found := page.find(heading)) >= 0), len(page))
    aside = path.with_name(f".{path.name}.new")
    whole = f"{page[:place]}{_BEGIN}\n{section(doubted, rows, counted)}\n{_END}\n{page[place:]}"
    aside.write_text(whole, encoding="utf-8", errors="replace")
    aside.replace(path)


def section(doubted: Doubted, rows: Sequence[ReviewRow], counted: str) -> str:
    """The section in the report's style sheet; what the data say is escaped."""
    found = doubted.told()
    pairs = ", ".join(f"{escape(pair)} {count:,}" for pair, count in list(found["pairs"].items())[:8])
    lines = "\n".join(map(_line, rows[:_SHOWN]))
    shown = f"The likeliest {_SHOWN} of them; " if len(rows) > _SHOWN else ""
    return "\n".join(
        [
            "<h2>Labels that are likely wrong</h2>",
            f"<p>Of {found['rows']:,} {counted}, {found['doubted']:,} have a label that {escape(found['model'])},",
            f"fitted to others, doubts{f': {pairs}' if pairs else ''}.</p>",
            '<div class="wide"><table>',
            '  <tr><th>row</th><th>given</th><th>suggested</th><th class="number">probability</th>',
            f"  <th>{escape(counted[:-1])}</th><th>because of</th></tr>",
            lines,
            "</table></div>",
            f'<p class="quiet">{shown}<code>suspects.csv</code> has the list for a reviewer, and',
            "<code>explicate train --labels</code> takes it back; nothing was changed. Confident learning on",
            f"{found['folds']} folds. A number is what a part adds to the log-odds of the suggested label",
            f"against the given one. Many of these labels are right, and the {counted} hard.</p>",
        ]
    )


def _line(row: ReviewRow) -> str:
    text = row.input if len(row.input) <= _CHARACTERS else f"{row.input[:_CHARACTERS]} …"
    return (
        f'  <tr><td>{escape(row.file)} {row.row}</td><td dir="auto">{escape(row.given_label)}</td>'
        f'<td dir="auto">{escape(row.suggested_label)}</td><td class="number">{row.probability}</td>'
        f'<td class="text" dir="auto">{escape(text)}</td><td>{escape(row.reasons)}</td></tr>'
    )
