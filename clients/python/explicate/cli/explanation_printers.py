"""The ways `explicate explain` prints: each takes the estimates for one input and returns the last of them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

from explicate.cli import explanation_csv, explanation_text, json_lines
from explicate.cli.asked import Asked
from explicate.results import ExplainResult

Printer: TypeAlias = Callable[[Asked, Iterator[ExplainResult]], ExplainResult]


def printer(output_format: str, top: int) -> Printer:
    """The printer for "text", "json" or "csv"; `top` is the number of features that text lists, 0 meaning all."""
    if output_format == "json":
        return _print_json
    if output_format == "csv":
        return _csv_printer()
    return _terminal_printer(top) if sys.stdout.isatty() else _plain_printer(top)


def _terminal_printer(top: int) -> Printer:
    try:
        from explicate.cli.explanation_terminal import show_live
    except ModuleNotFoundError:  # rich is not installed; the plain table still says everything
        return _plain_printer(top)
    return lambda _asked, estimates: show_live(estimates, top)


def _plain_printer(top: int) -> Printer:
    def show(_asked: Asked, estimates: Iterator[ExplainResult]) -> ExplainResult:
        result = next(estimates)
        for better in estimates:
            print(explanation_text.progress(result), file=sys.stderr)
            result = better
        print("\n".join(explanation_text.lines(result, top)), end="\n\n", flush=True)
        return result

    return show


def _print_json(asked: Asked, estimates: Iterator[ExplainResult]) -> ExplainResult:
    for result in estimates:
        print(json_lines.dumps({"input": asked.number, **json_lines.document(result)}), flush=True)
    return result


def _csv_printer() -> Printer:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(explanation_csv.HEADER)

    def show(asked: Asked, estimates: Iterator[ExplainResult]) -> ExplainResult:
        *_, result = estimates
        writer.writerows(explanation_csv.lines(asked.number, result))
        return result

    return show
