"""What the server writes to and nobody takes: it answers all the same, drains and exits."""

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from explicate.v1 import inference_service_pb2_grpc as services
from explicate_server.telemetry import audit_log
from support.harness import predict_request, server_process, until


async def test_a_server_whose_log_nobody_reads_answers_drains_and_exits(tiny_repository: Path) -> None:
    flags = ("--log-inputs", "yes", "--log-calls", "all", "--threads", "1")
    with server_process(tiny_repository, *flags) as (process, address):  # its stderr is a pipe, read by nobody
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = services.InferenceServiceStub(channel)
            for _ in range(20):  # each is 16 KiB of log, and a pipe takes 64
                assert (await stub.Predict(predict_request("tea " * 4096), timeout=60)).predictions
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
        assert process.stderr is not None
        assert "serving 1 version(s)" in process.stderr.read()


async def test_an_audit_log_on_a_disk_that_hangs_counts_each_line_it_does_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    goes_on = threading.Event()
    append = audit_log.AuditLog._write_whole

    def hang(log: audit_log.AuditLog, line: bytes) -> None:
        goes_on.wait(60)
        append(log, line)

    monkeypatch.setattr(audit_log.AuditLog, "_write_whole", hang)
    monkeypatch.setattr(audit_log, "_PATIENCE_S", 0.01)
    monkeypatch.setattr(audit_log, "_MOST_WAITING", 5)
    log = audit_log.AuditLog(tmp_path / "audit")
    for number in range(8):  # each returns: an answer does not wait for its line for ever
        await log.write({"number": number})
    assert (log.written, log.lost) == (0, 3)
    assert "lines wait for the disk" in caplog.text
    goes_on.set()
    await until(lambda: log.written == 5)
    assert (tmp_path / "audit").read_text().count("\n") == 5
    assert "is written again; 3 lines were lost so far" in caplog.text
    goes_on.clear()
    await log.write({"number": 9})
    await asyncio.to_thread(log.close, 0.01)
    assert (log.written, log.lost) == (5, 4)
    assert "stops with 1 lines unwritten" in caplog.text
    goes_on.set()
