"""`explicate summarize`: what a folder of scored rows says as a whole."""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.errors import UsageError
from explicate.reading import notes
from explicate.views import tables

if TYPE_CHECKING:
    from explicate.scoring.summaries.row_sample import SampledRow
    from explicate.scoring.summaries.summary import ClassFigures, Summary

_FORMATS = ("table", "json", "csv")
_NAME_WIDTH = 40
_TOLD_EVERY_S = 5.0
_EPILOG = """examples:
  explicate summarize out/                                 which words or columns weigh most, and what was predicted
  explicate summarize out/ --html summary.html             with pictures
  explicate summarize out/ --svg pictures/ --top 10        bars and a swarm of dots for each class
  explicate summarize out/ --format csv > features.csv     a line for each feature of each class

Means are over the rows that have a feature; the size is the value without its sign; ± is half of an interval of 95 %,
over rows. Words are counted without case and without what touches them."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "summarize",
        usage="explicate summarize [OPTION ...] FOLDER",
        help="what many scored rows say as a whole",
        description="Sum up a folder of explicate score: what each word or column adds, by class, and counts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the --output of explicate score")
    parser.add_argument("--top", metavar="N", type=_count, default=20, help="features shown (default: 20; 0: all)")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with pictures")
    parser.add_argument("--svg", metavar="FOLDER", type=Path, help="write the pictures, two for each class")
    parser.add_argument("--dots", metavar="N", type=_count, default=500, help="rows in a picture (default: 500)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="draws these rows (default: 0)")
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="table" if sys.stdout.isatty() else "json",
        help="how to print the figures (default: table on a terminal, else json)",
    )
    parser.set_defaults(run=run, extra="batch")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {number}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Print the figures, and write what was asked for besides."""
    from explicate.scoring.summaries.scored_parts import scored_folder
    from explicate.scoring.summaries.summary import summarize

    folder = scored_folder(arguments.folder)
    drawn = bool(arguments.html or arguments.svg)
    if drawn and not folder.is_explained:
        raise UsageError(f"{arguments.folder} has predictions only, and pictures show explanations")
    summary, rows = summarize(
        folder, dots=arguments.dots if drawn else 0, seed=arguments.seed, progress=_Progress().told
    )
    if drawn:
        _draw(arguments, summary, rows)
    _PRINTERS[arguments.format](summary, arguments.top)
    return 0


class _Progress:
    """Says on stderr from time to time how far it is."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + _TOLD_EVERY_S

    def told(self, rows: int) -> None:
        """So many rows are read."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _TOLD_EVERY_S
            notes.say(f"{rows:,} rows read")


def _draw(arguments: argparse.Namespace, summary: Summary, rows: Sequence[SampledRow]) -> None:
    from explicate.scoring.summaries.summary_page import drawings, page

    try:
        if arguments.html:
            arguments.html.write_text(page(summary, rows, arguments.top), encoding="utf-8")
        if arguments.svg:
            arguments.svg.mkdir(parents=True, exist_ok=True)
            for number, (name, svg) in enumerate(drawings(summary, rows, arguments.top).items()):
                plain = re.sub(r"[^\w.-]+", "_", name)
                path = arguments.svg / f"{plain if plain == name else f'{plain}-{number}'}.svg"
                path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or arguments.html or arguments.svg}: {error.strerror}"
        ) from error


def _as_table(summary: Summary, most: int) -> None:
    print(_headline(summary))
    for note in summary.notes:
        print(f"note: {note}")
    for heading, counts in (("LABEL", summary.labels), ("STOPPED", summary.stop_reasons), ("FAILED", summary.failed)):
        if counts:
            lines = [(name, f"{count:,}", f"{100 * share:.1f} %") for name, count, share in _shares(counts)]
            print(f"\n{tables.table((heading, 'ROWS', 'SHARE'), lines, right=(1, 2))}")
    for own in summary.classes:
        print(f"\nwhat features add{f' to {tables.printable(own.label)}' if own.label else ''}")
        print(_features(own, most))


def _headline(summary: Summary) -> str:
    parts = [f"{summary.rows:,} rows"]
    if summary.explained:
        parts.append(f"{summary.explained:,} explained with {summary.mean_evaluations:,.1f} evaluations each")
    if summary.failed_rows:
        parts.append(f"{summary.failed_rows:,} failed")
    if summary.values:
        parts.append(f"values from {summary.values}")
    return f"{summary.model}: {', '.join(parts)}" if summary.model else ", ".join(parts)


def _features(own: ClassFigures, most: int) -> str:
    from explicate.scoring.summaries.summary import top
    from explicate.scoring.summaries.summary_page import decimals, half_width
    from explicate.views import amounts

    lines = [
        (
            tables.shortened(one.feature, _NAME_WIDTH),
            f"{one.rows:,}",
            amounts.plain_number(one.mean_size, decimals(one)),
            half_width(one.mean_size_interval, decimals(one)),
            amounts.number(one.mean_value, decimals(one)),
            half_width(one.mean_value_interval, decimals(one)),
        )
        for one in top(own.features, most)
    ]
    header = ("FEATURE", "ROWS", "MEAN SIZE", "", "MEAN VALUE", "")
    more = len(own.features) - len(lines)
    return tables.table(header, lines, right=(1, 2, 3, 4, 5)) + (f"\nand {more:,} more" if more else "")


def _shares(counts: dict[str, int]) -> list[tuple[str, int, float]]:
    from explicate.scoring.summaries.attribution_sums import shares

    return shares(counts)


def _as_json(summary: Summary, _most: int) -> None:
    print(summary.to_json())


def _as_csv(summary: Summary, _most: int) -> None:
    from explicate.scoring.summaries.summary_page import COLUMNS, csv_lines

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(csv_lines(summary))


_PRINTERS = {"table": _as_table, "json": _as_json, "csv": _as_csv}
