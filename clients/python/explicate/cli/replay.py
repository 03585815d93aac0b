"""`explicate replay`: asks for explanations of an audit log again, and says whether the answers are the same."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explicate import json_documents
from explicate.cli import connection, inputs
from explicate.errors import FailedPrecondition, InvalidArgument, NotFound, UsageError
from explicate.inputs import Input
from explicate.reading import notes
from explicate.views import tables

if TYPE_CHECKING:
    from explicate.audit import AuditLine
    from explicate.client import Client
    from explicate.results import ExplainResult

# Rows that share a batch change each other's last bits: by 1e-7 of a logit on CPUs, by more in what is fitted to it.
TOLERANCE = 1e-5
# The verdicts that count as repeated.
_REPEATED = ("same", "close")

_EPILOG = """examples:
  explicate replay audit.jsonl                                  every line that has its input
  explicate replay audit.jsonl --line 17 --input review.txt     the log has digests only; the input is yours
  explicate replay audit.jsonl --request-id order-17 --format json

Verdicts: same (bit for bit), close (within --tolerance of the largest attribution: rows that share a batch change each
other's last bits, in bf16 by about a hundredth), cut (time was short, and the same rows cannot be asked for again),
different, gone (the version does not serve), unknown (no input, or another one).
Exit code 0 if all are the same or close, else 1; a line that cannot be read is named on stderr and makes it 1."""


@dataclass(frozen=True)
class Verdict:
    """What came of a line. largest_difference: as a fraction of the largest attribution."""

    line: int
    request_id: str
    model: str
    version: int
    verdict: str
    what: str
    largest_difference: float | None = None


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
    value = inputs.read_file(arguments.input) if arguments.input else None
    baseline = inputs.read_file(arguments.baseline) if arguments.baseline else None
    repeated = found = 0
    with connection.connect(arguments) as client:
        for line in _lines(arguments):
            found += 1
            if isinstance(line, UsageError):
                print(f"explicate: {tables.printable(str(line))}", file=sys.stderr)
                continue
            verdict = replay(client, line, value, baseline=baseline, tolerance=arguments.tolerance)
            repeated += verdict.verdict in _REPEATED
            print(json_documents.dumps(verdict) if arguments.format == "json" else _shown(verdict))
    if not found:
        chosen = arguments.line is not None or arguments.request_id is not None
        raise UsageError(f"{arguments.log} does not have {'such a' if chosen else 'any'} line")
    if found > 1 and arguments.format == "text":
        notes.say(f"{repeated:,} of {found:,} repeated")
    return 0 if repeated == found else 1


def replay(
    client: Client,
    line: AuditLine,
    value: Input | None,
    *,
    baseline: Input | None = None,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Ask for a line's explanation again, about its own input or `value`, and its own baseline or `baseline`."""
    from explicate.audit import input_sha256  # with all the results' classes, which other commands do without

    if line.was_changed:
        return _verdict(line, "different", "the line was changed: its attributions are not those of its SHA-256")
    value = line.input() if value is None else value
    if value is None:
        return _verdict(line, "unknown", "the log has no inputs (--audit-inputs); give it with --input FILE")
    if input_sha256(value) != line.digests[0]:
        return _verdict(line, "unknown", "this is another input: its SHA-256 is not the one in the log")
    options = line.options()
    if line.baseline_sha256:
        if baseline is None:
            return _verdict(line, "unknown", "the log has its baseline's SHA-256 only; give it with --baseline FILE")
        if input_sha256(baseline) != line.baseline_sha256:
            return _verdict(line, "unknown", "this is another baseline: its SHA-256 is not the one in the log")
        options["baseline"] = baseline
    try:
        answer = client.explain(line.model, value, version=line.version, **options)
    except (NotFound, FailedPrecondition) as error:
        return _verdict(line, "gone", f"{error.message}")
    except InvalidArgument as error:
        if line.cut_by_clock:
            return _verdict(line, "cut", f"time was short then, and so few rows cannot be asked for: {error.message}")
        return _verdict(line, "different", f"the server refuses it now: {error.message}")
    return _compared(line, answer, tolerance)


def _compared(line: AuditLine, answer: ExplainResult, tolerance: float) -> Verdict:
    from explicate.audit import attributions_sha256

    if attributions_sha256(answer.explanation) == line.digests[1]:
        cut = f", with the {answer.explanation.evaluations:,} rows there was time for" if line.cut_by_clock else ""
        return _verdict(line, "same", f"bit for bit{cut}", 0.0)
    difference = line.largest_difference(answer.explanation)
    changed = "; ".join(_changes(line, answer))
    if difference is not None and difference <= tolerance:
        return _verdict(line, "close", changed or "the last bits differ", difference)
    if line.cut_by_clock or answer.explanation.stop_reason == "deadline":
        return _verdict(line, "cut", "; ".join(filter(None, (_why_cut(line), changed))), difference)
    precision = answer.model.precision
    same = "the attributions differ" if precision == "fp32" else f"the attributions differ, as {precision} lets them"
    return _verdict(line, "different", changed or same, difference)


def _why_cut(line: AuditLine) -> str:
    if not line.cut_by_clock:
        return "time is short now; give --timeout more, or ask a server that is less busy"
    if line.unevaluated:
        return f"time was short, and the clock chose which {line.unevaluated:,} rows of the last round were left out"
    return "time was short, and the method plans its rows for the whole budget"


def _changes(line: AuditLine, answer: ExplainResult) -> Iterator[str]:
    """What is not as it was, such as "evaluations: 400 then, 566 now"."""
    explanation = answer.explanation
    now: dict[str, Any] = {
        "bundle_digest": answer.model.bundle_digest,
        "runtime": answer.model.runtime,
        "precision": answer.model.precision,
        "method_version": explanation.method_version,
        "evaluations": explanation.evaluations,
        "rounds": explanation.rounds,
        "stop_reason": explanation.stop_reason,
    }
    for name, value in now.items():
        then = line.fields.get(name)
        if then != value:
            yield f"{name.replace('_', ' ')}: {then} then, {value} now"


def _verdict(line: AuditLine, verdict: str, what: str, difference: float | None = None) -> Verdict:
    return Verdict(line.number, line.request_id, line.model, line.version, verdict, what, difference)


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
        from explicate.audit import AuditLine, is_event

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
