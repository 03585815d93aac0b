"""One audit log that several processes write: here two logs of one file."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from explicate_server.telemetry.audit_log import AuditLog


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[AuditLog, AuditLog]]:
    logs = AuditLog(tmp_path / "audit.jsonl", shared=True), AuditLog(tmp_path / "audit.jsonl", shared=True)
    yield logs
    for log in logs:
        await asyncio.to_thread(log.close)


async def test_each_writes_whole_lines_and_none_is_lost(two: tuple[AuditLog, AuditLog], tmp_path: Path) -> None:
    texts = [f"{log}-{number}-" + "x" * 20_000 for log in range(2) for number in range(40)]
    await asyncio.gather(*(two[int(text[0])].write({"text": text}) for text in texts))
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["text"] for line in lines) == sorted(texts)
    assert [log.written for log in two] == [40, 40]


async def test_after_a_line_that_one_could_not_finish_the_other_begins_a_new_one(
    two: tuple[AuditLog, AuditLog], tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    await two[0].write({"text": "whole"})
    with path.open("ab") as torn:
        torn.write(b'{"text": "cut o')  # as a full disk leaves it
    await two[1].write({"text": "after it"})
    await two[0].write({"text": "and on"})
    lines = path.read_text().splitlines()
    assert [lines[0], *lines[2:]] == [json.dumps({"text": text}) for text in ("whole", "after it", "and on")]
    assert lines[1] == '{"text": "cut o'


async def test_both_go_on_in_a_new_file_after_a_rename(two: tuple[AuditLog, AuditLog], tmp_path: Path) -> None:
    for log in two:
        await log.write({"text": "old"})
    (tmp_path / "audit.jsonl").rename(tmp_path / "audit.jsonl.1")
    for log in two:
        await log.write({"text": "new"})
    assert (tmp_path / "audit.jsonl.1").read_text() == '{"text": "old"}\n' * 2
    assert (tmp_path / "audit.jsonl").read_text() == '{"text": "new"}\n' * 2
