"""`explicate replay`: asks for explanations of an audit log again, and says whether the answers are the same."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from explicate import json_documents
from explicate.audit import replaying
from explicate.audit.replaying import REPEATED, TOLERANCE, Given, Verdict
from explicate.cli import connection, inputs
from explicate.errors import UsageError
from explicate.reading import notes
from explicate.views import tables

if TYPE_CHECKING:
    from explicate.audit.log_lines import AuditLine
    from explicate.client import Client

_EPILOG = """examples:
  explicate replay audit.jsonl                                  every line that has its input
  explicate replay audit.jsonl --line 17 --input review.txt     the log has digests only; the input is yours
  explicate replay audit.jsonl --request-id order-17 --format json

Verdicts: same (bit for bit), close (within --tolerance of the largest attribution: rows that share a batch change each
other's last bits, in bf16 by about a hundredth), cut (time was short, and the same rows cannot be asked for again),
different, gone (the version does not serve), unknown (no input, or another one).
Exit code 0 if all are the same or close, else 1; a line that cannot be read is named on stderr and makes it 1."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "replay",
        help="ask for explanations of an audit log again, and compare",
        description="Ask the same version for the explanations of a server's audit log, with the same options, and"
        " compare the attributions.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("log", metavar="AUDIT.jsonl", type=Path, help="the audit log")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--line", metavar="N", type=int, help="only this line, from 1")
    which.add_argument("--request-id", metavar="ID", help="only the lines of this request")
    parser.add_argument(
        "--input",
        metavar="FILE",
        type=Path,
        help="the input: a text or another file, or a row or a pair as JSON (.json)",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        type=Path,
        help="the text, row or other file that the explanation was set against, where the log has its digest only",
    )
    parser.add_argument(
        "--tolerance",
        metavar="FRACTION",
        type=float,
        default=TOLERANCE,
        help="what counts as close, as a fraction of the largest attribution (default: %(default)g)",
    )
    connection.add_format_option(parser, ("text", "json"))
    connection.add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay the chosen lines; 1 when one is neither the same nor close."""
    given = Given(
        inputs.read_file(arguments.input) if arguments.input else None,
        inputs.read_file(arguments.baseline) if arguments.baseline else None,
    )
    repeated = found = 0
    with connection.connect(arguments) as client:
        for line in _lines(arguments):
            found += 1
            if isinstance(line, UsageError):
                print(f"explicate: {tables.printable(str(line))}", file=sys.stderr)
                continue
            verdict = _replayed(client, line, given, arguments.tolerance)
            repeated += verdict.verdict in REPEATED
            print(json_documents.dumps(verdict) if arguments.format == "json" else _shown(verdict))
    if not found:
        chosen = arguments.line is not None or arguments.request_id is not None
        raise UsageError(f"{arguments.log} does not have {'such a' if chosen else 'any'} line")
    if found > 1 and arguments.format == "text":
        notes.say(f"{repeated:,} of {found:,} repeated")
    return 0 if repeated == found else 1


def _replayed(client: Client, line: AuditLine, given: Given, tolerance: float) -> Verdict:
    asked = replaying.question(line, given)
    if isinstance(asked, Verdict):
        return asked
    try:
        answer = client.explain(line.model, asked.value, version=line.version, **asked.options)
    except replaying.REFUSALS as error:
        return replaying.refused(line, error)
    return replaying.compared(line, answer, tolerance)


def _shown(verdict: Verdict) -> str:
    difference = verdict.largest_difference
    size = "" if not difference else f" (by {difference:.1e} of the largest)" if math.isfinite(difference) else ""
    # Anybody may have written what the log holds.
    what = tables.printable(f"{verdict.model}/{verdict.version}: {verdict.what}")
    return f"line {verdict.line}: {verdict.verdict}: {what}{size}"


def _lines(arguments: argparse.Namespace) -> Iterator[AuditLine | UsageError]:
    """The chosen lines, or why one cannot be read; one that was asked for by its number is refused at once."""
    try:
        with arguments.log.open("rb") as file:
            # Not what comes later: the server that is asked may write to this log.
            left = os.fstat(file.fileno()).st_size
            for number, line in enumerate(file, start=1):
                if left <= 0:
                    return
                left -= len(line)
                if arguments.line in (None, number) and line.strip():
                    yield from _chosen(arguments, number, line.decode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"cannot read {arguments.log}: {error.strerror}") from error


def _chosen(arguments: argparse.Namespace, number: int, text: str) -> Iterator[AuditLine | UsageError]:
    try:
        from explicate.audit.log_lines import AuditLine, is_event

        if arguments.line is None and is_event(text):  # such as an override of a standard: nothing to ask again
            return
        line = AuditLine.parse(number, text)
    except UsageError as error:
        if arguments.line is not None:
            raise
        if arguments.request_id is None:  # with a request id nobody can tell whether this line is meant
            yield error
        return
    if arguments.request_id in (None, line.request_id):
        yield line
