"""Lines of a server's audit log, and asking again for the explanations that they record.

A line names the version, the options as they were resolved, and digests of the input and of the attributions. The same
version, asked with the same options about the same input, must give the same attributions.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from explicate.errors import UsageError
from explicate.inputs import CellValue, File, GivenValue, Image, Input
from explicate.json_reading import read_document
from explicate.options import (
    ALL,
    ChangeSearch,
    Contrast,
    ExplainOptions,
    Part,
    PixelBox,
    PixelPolygon,
    Segment,
    Target,
    TextRange,
)
from explicate.results import Explanation


@dataclass(frozen=True)
class AuditLine:
    """One explanation of the log.

    number: its place in the file, from 1. fields: the line as the file has it. model, version: what answered. digests:
    SHA-256 of the input and of the attributions. request_id: the call's name in the server's log. cut_by_clock: whether
    time was short, so that the clock chose how many rows a round had. unevaluated: rows of the last round that there
    was no time for; the line does not say which.
    """

    number: int
    fields: Mapping[str, Any]
    model: str
    version: int
    digests: tuple[str, str]
    request_id: str
    cut_by_clock: bool
    unevaluated: int

    @classmethod
    def parse(cls, number: int, text: str) -> AuditLine:
        """The line of this number; raises UsageError for what is not one, such as a line that a full disk cut off."""
        try:
            fields = json.loads(text)
            line = cls(
                number,
                fields,
                model=str(fields["model"]),
                version=int(fields["version"]),
                digests=(str(fields["input_sha256"]), str(fields["attributions_sha256"])),
                request_id=str(fields.get("request_id", "")),
                cut_by_clock=bool(fields.get("cut_by_clock")),
                unevaluated=int(fields.get("unevaluated", 0)),
            )
            _ = line.options(), line.input(), line.was_changed  # whether everything else that a replay needs is there
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
            problem = f"{type(error).__name__}: {error}"
            raise UsageError(f"line {number} is not a line of an audit log ({problem})") from None
        return line

    @property
    def was_changed(self) -> bool:
        """Whether it holds attributions whose SHA-256 is not the one that it records."""
        held = self.fields.get("attributions")
        return held is not None and _sha256_of(held) != self.digests[1]

    def options(self) -> ExplainOptions:
        """What to ask for: without the time limit, and for a line that the clock cut exactly the rows that it had.

        Kernel-shap draws the same rows whatever its rounds are, so that a budget of that many rows has them.
        """
        given = dict(self.fields["options"])
        if unknown := given.keys() - ExplainOptions.__annotations__:
            raise ValueError(f"there is no option {', '.join(sorted(unknown))}")
        del given["time_limit_s"]
        if self.cut_by_clock:
            rows = int(self.fields["fitted_evaluations"])
            given |= {"max_evaluations": rows, "min_evaluations": rows, "tolerance": 0.0, "top_k": None}
        change = given.get("change") and read_document(ChangeSearch, given["change"])
        baseline = _baseline(given.get("baseline"))
        groups = {name: _parts(held) for name, held in (given.get("groups") or {}).items()}
        read = {"groups": groups, "fixed": _parts(given.get("fixed") or ()), "baseline": baseline, "change": change}
        return cast(ExplainOptions, {**given, **read, "target": _target(given["target"])})

    @property
    def baseline_sha256(self) -> str:
        """The digest of another input that stood in for what was left out, of which the log has no more; else empty."""
        held = self.fields["options"].get("baseline")
        return str(held["sha256"]) if held and _baseline(held) is None else ""

    def input(self) -> Input | None:
        """The input if the log has it, else None."""
        held = self.fields.get("input")
        return None if held is None else input_of(held)

    def largest_difference(self, explanation: Explanation) -> float | None:
        """Between its attributions and those of an answer, as a fraction of the largest; None if it holds none.

        Infinite if the two have different numbers of attributions.
        """
        before = self.fields.get("attributions")
        if before is None:
            return None
        now = [attribution.values for attribution in explanation.attributions]
        if [len(row) for row in before] != [len(row) for row in now]:
            return math.inf
        pairs = [pair for rows in zip(before, now, strict=True) for pair in zip(*rows, strict=True)]
        largest = max((abs(old) for old, _ in pairs), default=0.0)
        return max((abs(old - new) for old, new in pairs), default=0.0) / (largest or 1.0)


def input_of(held: Mapping[str, Any]) -> Input:
    """The input that a document of the log tells: {"text"}, {"text", "text_pair"}, {"cells"} or {"image"} in base64.

    Raises KeyError, TypeError or ValueError for what is none of these.
    """
    if "image" in held:
        return Image(base64.b64decode(held["image"], validate=True))
    if "cells" in held:
        return cast(Mapping[str, CellValue], held["cells"])
    return (held["text"], held["text_pair"]) if "text_pair" in held else cast(str, held["text"])


def is_event(text: str) -> bool:
    """Whether a line of the log tells what an operator did, which is no explanation: it has an "event"."""
    try:
        return "event" in json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return False


def input_sha256(value: Input) -> str:
    """The digest of an input as the log has it.

    It is made of a text's UTF-8, a pair's two digests joined, a row as JSON with sorted keys and every number a float,
    or the bytes of a file.
    """
    return _digest(value).hex()


def _digest(value: Input) -> bytes:
    if isinstance(value, str):
        return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
    if isinstance(value, File):
        return hashlib.sha256(value.content).digest()
    if isinstance(value, tuple):
        return hashlib.sha256(b"".join(_digest(text) for text in value)).digest()
    cells = {name: _cell(cell) for name, cell in value.items()}
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode("ascii")).digest()


def _cell(value: GivenValue) -> float | str | None:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    return float(value) if isinstance(value, int | float) else value


def attributions_sha256(explanation: Explanation) -> str:
    """The digest of the attributions: float64, little-endian, output after output."""
    return _sha256_of(attribution.values for attribution in explanation.attributions)


def _sha256_of(rows: Iterable[Iterable[float]]) -> str:
    values = [value for row in rows for value in row]
    return hashlib.sha256(struct.pack(f"<{len(values)}d", *values)).hexdigest()


def _baseline(held: Mapping[str, Any] | None) -> Input | None:
    """What stood in for what was left out; None where nothing was asked for, or the log has its digest only."""
    if held is None or held.keys() == {"sha256"}:
        return None
    if "text" in held:
        return (held["text"], held["text_pair"]) if "text_pair" in held else cast(str, held["text"])
    return cast(Input, held["cells"] if "cells" in held else held.get("name") or held["colour"])


def _parts(held: Iterable[Any]) -> tuple[Part, ...]:
    return tuple(map(_part, held))


def _part(held: Any) -> Part:
    """A part of an input: its name, or the fields of one of the classes that parts have."""
    if isinstance(held, str):
        return held
    if held.keys() == {"points"}:
        return PixelPolygon(tuple((float(x), float(y)) for x, y in held["points"]))
    if held.keys() == {"id"}:
        return Segment(held["id"])
    return TextRange(**held) if "start" in held else PixelBox(**held)


def _target(held: Mapping[str, Any] | None) -> Target | None:
    if held is None:
        return None
    if "all" in held:
        return ALL
    if "contrast" in held:
        return Contrast(held["contrast"]["target"], held["contrast"]["reference"])
    return cast(int | str, held["class"])
