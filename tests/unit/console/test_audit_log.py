"""The audit log as the console reads it: from its end, in blocks, whatever somebody or a full disk did to it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from explicate_console.audit_log import log_file
from explicate_console.audit_log.log_file import LogFile, LogUnreadableError
from explicate_console.audit_log.log_replay import RecordUnfitError, given_of, line_of
from explicate_console.audit_log.log_search import Bounds, Found, Wanted, read_line, search
from explicate_console.audit_log.log_search import summary as summary_of

BEGINS = datetime(2026, 11, 1, tzinfo=UTC)


def record(number: int, **fields: Any) -> dict[str, Any]:
    """A record of the log; each is a minute later than the one before."""
    time = (BEGINS + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "time": time,
        "request_id": f"order-{number}",
        "caller": f"token:shop-{number % 3}",
        "model": "tea",
        "version": 1 + number % 2,
        "options": {"method": "lime" if number % 2 else "kernel-shap"},
        "evaluations": 10 * number,
        **fields,
    }


def line(number: int, **fields: Any) -> bytes:
    return json.dumps(record(number, **fields)).encode("ascii") + b"\n"


@pytest.fixture(params=[7, 100, 1 << 20], ids="block-of-{}".format)
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks shorter than a line, of about one, and of all of them."""
    monkeypatch.setattr(log_file, "BLOCK_BYTES", request.param)
    return int(request.param)


@contextmanager
def opened(folder: Path, content: bytes) -> Iterator[LogFile]:
    path = folder / "audit.jsonl"
    path.write_bytes(content)
    with LogFile(path) as log:
        yield log


def ids(found: Found) -> list[str]:
    return [each["requestId"] for each in found.records]


def everything(log: LogFile, wanted: Wanted, **bounds: Any) -> list[Found]:
    """All steps of a search, each from where the one before ended."""
    steps = [search(log, wanted, bounds=Bounds(**bounds))]
    while (before := steps[-1].next) is not None:
        steps.append(search(log, wanted, before=before, bounds=Bounds(**bounds)))
    return steps


@pytest.mark.usefixtures("block_bytes")
def test_records_come_newest_first_page_after_page_and_each_once(tmp_path: Path) -> None:
    with opened(tmp_path, b"".join(map(line, range(23)))) as log:
        steps = everything(log, Wanted(), records=5)
    assert [ident for step in steps for ident in ids(step)] == [f"order-{number}" for number in reversed(range(23))]
    assert [len(step.records) for step in steps[:4]] == [5, 5, 5, 5]
    assert [step.bad for step in steps] == [0] * len(steps)
    assert steps[-1].searched == log.size
    assert [step.searched for step in steps] == sorted(step.searched for step in steps)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("number", [0, 11, 22])
def test_each_record_is_where_the_search_says(tmp_path: Path, number: int) -> None:
    with opened(tmp_path, b"".join(map(line, range(23)))) as log:
        (found,) = search(log, Wanted(request_id=f"order-{number}"), bounds=Bounds(records=1)).records
        assert json.loads(log.line_at(found["at"])) == record(number)
        with pytest.raises(LogUnreadableError, match="No line"):
            log.line_at(found["at"] + 1)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(request_id="order-2"), lambda each: each["request_id"].startswith("order-2")),
        (Wanted(model="tea", version=2), lambda each: each["version"] == 2),
        (Wanted(model="te"), lambda each: False),
        (Wanted(method="lime"), lambda each: each["options"]["method"] == "lime"),
        (Wanted(caller="shop-1"), lambda each: each["caller"] == "token:shop-1"),
        (Wanted(since=record(8)["time"], until=record(12)["time"]),
         lambda each: record(8)["time"] <= each["time"] <= record(12)["time"]),
        (Wanted(since=record(200)["time"]), lambda each: each["time"] >= record(200)["time"]),
        (Wanted(until=record(30)["time"], method="lime"),
         lambda each: each["time"] <= record(30)["time"] and each["options"]["method"] == "lime"),
    ],
)  # fmt: skip
def test_a_search_finds_what_a_look_at_every_record_finds(tmp_path: Path, wanted: Wanted, fits: Any) -> None:
    with opened(tmp_path, b"".join(map(line, range(240)))) as log:
        found = [ident for step in everything(log, wanted, records=50) for ident in ids(step)]
    assert found == [each["request_id"] for each in map(record, reversed(range(240))) if fits(each)]


def test_a_time_is_found_by_halves_and_not_by_reading_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK_BYTES", 1000)
    read = 0
    true_read = LogFile._read

    def counted(log: LogFile, at: int, length: int) -> bytes:
        nonlocal read
        read += length
        return true_read(log, at, length)

    monkeypatch.setattr(LogFile, "_read", counted)
    with opened(tmp_path, b"".join(map(line, range(20_000)))) as log:
        wanted = Wanted(since=record(7000)["time"], until=record(7004)["time"])
        found = search(log, wanted, bounds=Bounds(seconds=60))
        assert ids(found) == [f"order-{number}" for number in (7004, 7003, 7002, 7001, 7000)]
        assert found.next is None
        assert read < log.size / 50


def test_lines_an_hour_out_of_order_are_found_by_their_time(tmp_path: Path) -> None:
    numbers = [*range(100), 60, *range(100, 400)]  # a clock that was set back for a moment
    with opened(tmp_path, b"".join(map(line, numbers))) as log:
        found = search(log, Wanted(since=record(60)["time"], until=record(60)["time"]), bounds=Bounds())
    assert ids(found) == ["order-60", "order-60"]


@pytest.mark.usefixtures("block_bytes")
def test_a_last_line_that_is_not_whole_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    with opened(tmp_path, line(1) + line(2) + line(3)[:-20]) as log:
        found = search(log, Wanted(), bounds=Bounds())
    assert (ids(found), found.torn, found.bad) == (["order-2", "order-1"], True, 0)


@pytest.mark.usefixtures("block_bytes")
def test_lines_that_cannot_be_read_are_counted_and_the_others_are_read(tmp_path: Path) -> None:
    bad = [b'{"time": "2026\n', b"\xff\xfe\n", b"[1, 2]\n", b"{}\n", b'{"time": 7}\n', b'{"a": ' * 3000 + b"}\n",
           b'{"time": "2026-11-01T00:00:00Z", "evaluations": NaN}\n']  # fmt: skip
    with opened(tmp_path, line(1) + b"\n\n" + b"".join(bad) + line(2)) as log:
        steps = everything(log, Wanted())
    assert [ident for step in steps for ident in ids(step)] == ["order-2", "order-1"]
    assert sum(step.bad for step in steps) == len(bad)


def test_a_line_longer_than_any_that_the_server_writes_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "BLOCK_BYTES", 100)
    monkeypatch.setattr(log_file, "MOST_LINE_BYTES", 1000)
    with opened(tmp_path, line(1) + b"x" * 5000 + b"\n" + line(2)) as log:
        found = search(log, Wanted(), bounds=Bounds())
    assert (ids(found), found.bad) == (["order-2", "order-1"], 1)


def test_a_search_stops_when_nobody_waits_and_goes_on_from_there(tmp_path: Path) -> None:
    with opened(tmp_path, b"".join(map(line, range(9)))) as log:
        first = search(log, Wanted(), bounds=Bounds(stop=lambda: True))
        assert ids(first) == ["order-8"]
        assert first.next is not None
        rest = search(log, Wanted(), before=first.next, bounds=Bounds())
    assert ids(rest) == [f"order-{number}" for number in reversed(range(8))]


def test_a_search_ends_when_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK_BYTES", 100)
    with opened(tmp_path, b"".join(map(line, range(9)))) as log:
        found = search(log, Wanted(model="coffee"), bounds=Bounds(seconds=0))
    assert found.next is not None
    assert found.searched < log.size


def test_what_is_written_while_it_is_read_waits_for_the_next_search(tmp_path: Path) -> None:
    with opened(tmp_path, line(1)) as log:
        with (tmp_path / "audit.jsonl").open("ab") as file:
            file.write(line(2))
        assert ids(search(log, Wanted(), bounds=Bounds())) == ["order-1"]


def test_a_log_that_was_made_shorter_is_told(tmp_path: Path) -> None:
    with opened(tmp_path, line(1) * 5) as log:
        (tmp_path / "audit.jsonl").write_bytes(b"")
        with pytest.raises(LogUnreadableError, match="made shorter while it was read"):
            search(log, Wanted(), bounds=Bounds())
    with LogFile(tmp_path / "audit.jsonl") as log, pytest.raises(LogUnreadableError, match="made shorter meanwhile"):
        log.check(log.identity, 5)


def test_a_log_that_was_renamed_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(line(1))
    with LogFile(path) as old:
        path.rename(tmp_path / "audit.jsonl.1")
        path.write_bytes(line(2))
        with LogFile(path) as new, pytest.raises(LogUnreadableError, match="renamed"):
            new.check(old.identity, 0)
        assert ids(search(old, Wanted(), bounds=Bounds())) == ["order-1"]


def test_a_missing_log_or_one_that_is_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadableError, match="not there"):
        LogFile(tmp_path / "audit.jsonl")
    with pytest.raises(LogUnreadableError, match="not a plain file"):
        LogFile(tmp_path)


def test_an_empty_log_has_no_records(tmp_path: Path) -> None:
    with opened(tmp_path, b"") as log:
        found = search(log, Wanted(), bounds=Bounds())
    assert (found.records, found.next, found.torn, found.bad) == ([], None, False, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"request_id": 7, "call": None, "model": ["tea"], "version": "1", "options": "lime", "stop_reason": {}},
        {"options": {"method": {"lime": 1}}, "evaluations": "many", "stop_reasons": "budget", "rows": True},
        {"evaluations": [1, "two", None, 3], "stop_reasons": [1, None, "budget"], "version": 10**40},
        {"request_id": "\ud800" * 5000, "caller": "<script>", "model": "\u202e"},
    ],
)
def test_a_summary_holds_texts_and_numbers_whatever_the_line_has(fields: dict[str, Any]) -> None:
    text = json.dumps(record(1, **fields)).encode("ascii")
    read = read_line(text)
    assert read is not None
    for name, value in summary_of(0, len(text), read).items():
        assert isinstance(value, str | int | None), name
        assert len(str(value)) <= 200


def test_a_table_counts_the_evaluations_of_all_its_rows() -> None:
    told = summary_of(0, 1, record(1, rows=3, evaluations=[5, 6, 7], stop_reasons=["budget", "exact", "budget"]))
    assert (told["rows"], told["evaluations"], told["stopReason"]) == (3, 18, "budget, exact")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"event": "standard-override"}, "what an operator did"),
        ({"table_sha256": "0" * 64, "rows": 3}, "a whole table"),
        ({}, "input_sha256"),
    ],
)
def test_what_cannot_be_replayed_says_why(fields: dict[str, Any], why: str) -> None:
    told = record(1, **fields)
    with pytest.raises(RecordUnfitError, match=why):
        line_of(json.dumps(told).encode(), told)


@pytest.mark.parametrize(
    "given", ["tea", [], {}, {"text": 7}, {"text": "tea", "text_pair": None}, {"image": "no base64"}, {"cells": 5}, 5]
)  # fmt: skip
def test_an_input_in_another_form_is_refused(given: Any) -> None:
    with pytest.raises(RecordUnfitError, match="the form in which the log has inputs"):
        given_of({"input": given})


def test_inputs_are_read_as_the_log_has_them() -> None:
    assert given_of({"input": {"text": "tea"}}).value == "tea"
    assert given_of({"input": {"text": "tea", "text_pair": "cake"}}).value == ("tea", "cake")
    assert given_of({"input": {"cells": {"age": 34, "job": None}}}).value == {"age": 34, "job": None}
    assert given_of({}).value is None
