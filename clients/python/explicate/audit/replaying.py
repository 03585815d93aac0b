"""Asking again for an explanation that an audit log records, and saying whether the answer is the same.

Who asks is another's matter: the command line with a client that waits, the console with one that does not. What is
asked, and what the answer means, is said here once: `question`, then a call of `explain`, then `compared` or `refused`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explicate.errors import FailedPrecondition, InvalidArgument, NotFound
from explicate.inputs import Input

if TYPE_CHECKING:
    from explicate.audit.log_lines import AuditLine
    from explicate.options import ExplainOptions
    from explicate.results import ExplainResult

# Rows that share a batch change each other's last bits: by 1e-7 of a logit on CPUs, by more in what is fitted to it.
TOLERANCE = 1e-5
# The verdicts that count as repeated.
REPEATED = ("same", "close")
# What a server answers to a question that it does not take any more; every other error is one of the call.
REFUSALS = (NotFound, FailedPrecondition, InvalidArgument)


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


@dataclass(frozen=True)
class Given:
    """What the user has where the log has digests only: the input, and the baseline that it was set against."""

    value: Input | None = None
    baseline: Input | None = None


@dataclass(frozen=True)
class Question:
    """What to ask the line's version for."""

    value: Input
    options: ExplainOptions


def question(line: AuditLine, given: Given) -> Question | Verdict:
    """What to ask for again, about the line's own input or the given one; a verdict where that cannot be."""
    from explicate.audit.log_lines import input_sha256  # with all the results' classes, which other commands do without

    if line.was_changed:
        return _verdict(line, "different", "the line was changed: its attributions are not those of its SHA-256")
    value = line.input() if given.value is None else given.value
    if value is None:
        return _verdict(line, "unknown", "the log has no inputs (--audit-inputs); give it with --input FILE")
    if input_sha256(value) != line.digests[0]:
        return _verdict(line, "unknown", "this is another input: its SHA-256 is not the one in the log")
    options = line.options()
    if line.baseline_sha256:
        if given.baseline is None:
            return _verdict(line, "unknown", "the log has its baseline's SHA-256 only; give it with --baseline FILE")
        if input_sha256(given.baseline) != line.baseline_sha256:
            return _verdict(line, "unknown", "this is another baseline: its SHA-256 is not the one in the log")
        options["baseline"] = given.baseline
    return Question(value, options)


def refused(line: AuditLine, error: NotFound | FailedPrecondition | InvalidArgument) -> Verdict:
    """What it means that the server does not take the question now."""
    if not isinstance(error, InvalidArgument):
        return _verdict(line, "gone", f"{error.message}")
    if line.cut_by_clock:
        return _verdict(line, "cut", f"time was short then, and so few rows cannot be asked for: {error.message}")
    return _verdict(line, "different", f"the server refuses it now: {error.message}")


def compared(line: AuditLine, answer: ExplainResult, tolerance: float = TOLERANCE) -> Verdict:
    """Whether the answer is the one that the line records; at most `tolerance` of its largest value apart is close."""
    from explicate.audit.log_lines import attributions_sha256

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
