"""Looking records up in the audit log, the newest first, a bounded piece of it at a time.

A search that ends before the beginning of the log says where it got to, and the next one goes on there: so a page shows
how far it is, and stops when nobody waits any more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn  # JSON that anybody may have written

from explicate_console.audit_log.log_file import LogFile, LogLine, time_of, written_time

# Processes that write into one file, and a clock that is set back, change the order of lines by less.
_DISORDER = timedelta(hours=1)
# Of the texts that a list shows; a record in full has all of them.
_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Wanted:
    """Which records: each field that is not empty must fit.

    request_id: how it begins. caller: a part of it. model, version, method: the whole. since, until: times as the log
    has them.
    """

    request_id: str = ""
    model: str = ""
    version: int | None = None
    caller: str = ""
    method: str = ""
    since: str = ""
    until: str = ""

    def fits(self, fields: Mapping[str, Any]) -> bool:
        """Whether a record is one of them."""
        method = _method(fields)
        told = written(fields.get("time"))
        return (
            str(fields.get("request_id", "")).startswith(self.request_id)
            and self.caller in str(fields.get("caller", ""))
            and self.model in ("", fields.get("model"))
            and self.version in (None, fields.get("version"))
            and self.method in ("", method)
            and (not self.since or told >= self.since)
            and (not self.until or told <= self.until)
        )

    def needles(self) -> tuple[bytes, ...]:
        """What a line must hold, byte for byte, to be worth reading: the server writes every field in one way."""
        exact = {"model": self.model, "method": self.method}
        found = [f'"{name}": {json.dumps(value)}' for name, value in exact.items() if value]
        if self.request_id:
            found.append(f'"request_id": {json.dumps(self.request_id)[:-1]}')
        if self.caller:
            found.append(json.dumps(self.caller)[1:-1])
        if self.version is not None:
            found.append(f'"version": {self.version},')
        return tuple(needle.encode("ascii") for needle in found)


@dataclass(frozen=True)
class Bounds:
    """How much one search may do. stop: asked between lines whether nobody waits any more."""

    records: int = 50
    seconds: float = 1.5
    stop: Callable[[], bool] = lambda: False


@dataclass
class Found:
    """What a search found, and how far it came.

    records: a summary of each, the newest first. next: where the next search goes on; None at the log's beginning, or
    where all that comes is older than wanted. bad: lines met that cannot be read. torn: whether the last line is not
    whole. oldest: the time of the line it got to. searched: bytes, of all searches since the newest line.
    """

    log: str
    size: int
    next: int | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    bad: int = 0
    torn: bool = False
    oldest: str = ""
    searched: int = 0


def search(log: LogFile, wanted: Wanted, *, before: int | None = None, bounds: Bounds) -> Found:
    """Look from `before`, or from the end of the log, towards its beginning."""
    found = Found(log.identity, log.size)
    begins = log.size if before is None else before
    if before is None and wanted.until:
        begins = log.place_after(_moved(wanted.until, _DISORDER))
    too_old = _moved(wanted.since, -_DISORDER) if wanted.since else ""
    needles = wanted.needles()
    ends_s = time.monotonic() + bounds.seconds
    in_too_long = False
    for line in log.lines_before(begins, needles):
        if too_old and line.text and (time_of(line.text) or too_old) < too_old:
            break
        found.torn = found.torn or line.torn
        found.bad += line.text is None and not in_too_long
        in_too_long = line.text is None
        if line.text is not None and not line.torn:
            _look_at(line, line.text, wanted, needles, found)
        if len(found.records) >= bounds.records or time.monotonic() > ends_s or bounds.stop():
            found.next = line.at or None
            found.oldest = (line.text and time_of(line.text)) or ""
            found.searched = log.size - line.at
            return found
    found.searched = log.size
    return found


def _look_at(line: LogLine, text: bytes, wanted: Wanted, needles: tuple[bytes, ...], found: Found) -> None:
    if not (text.startswith(b"{") and text.endswith(b"}")):
        found.bad += 1
    elif all(needle in text for needle in needles):
        fields = read_line(text)
        if fields is None:
            found.bad += 1
        elif wanted.fits(fields):
            found.records.append(summary(line.at, len(text), fields))


def _moved(told: str, by: timedelta) -> str:
    return written_time(datetime.fromisoformat(told) + by)


def read_line(text: bytes) -> dict[str, Any] | None:
    """The fields of a line; None for one that is no JSON object with a time."""
    try:
        fields = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and written(fields.get("time")) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def written(told: object) -> str:
    """A time as `written_time` has it; empty for what is none."""
    try:
        return written_time(datetime.fromisoformat(told)) if isinstance(told, str) else ""
    except (ValueError, OverflowError):
        return ""


def summary(at: int, length: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a list of records shows of one."""
    reasons = fields.get("stop_reasons")
    return {
        "at": at,
        "bytes": length,
        "time": written(fields.get("time")),
        "requestId": _short(fields.get("request_id")),
        "call": _short(fields.get("call")).rpartition("/")[2],
        "caller": _short(fields.get("caller")),
        "model": _short(fields.get("model")),
        "version": _count(fields.get("version")),
        "method": _short(_method(fields)),
        "event": _short(fields.get("event")),
        "rows": _count(fields.get("rows")),
        "evaluations": _total(fields.get("evaluations")),
        "stopReason": _short(fields.get("stop_reason")) or ", ".join(sorted(set(map(_short, _listed(reasons))))),
        "cutByClock": fields.get("cut_by_clock") is True,
        "hasInput": "input" in fields or "table" in fields,
    }


def _method(fields: Mapping[str, Any]) -> object:
    options = fields.get("options")
    return options.get("method", "") if isinstance(options, dict) else ""


def _short(value: object) -> str:
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    """A whole number that a browser can hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53 else None


def _total(value: object) -> int | None:
    return _count(sum(_count(each) or 0 for each in value) if isinstance(value, list) else value)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
