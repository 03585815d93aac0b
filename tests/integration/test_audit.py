"""The audit log of a real server, and asking for what it tells of again with the real command line."""

import asyncio
import hashlib
import json
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from test_tables import LOANS

from explicate import Client, Contrast
from explicate.cli.main import main
from explicate_server.app import Server, StartError
from explicate_server.settings import Settings
from support.harness import (
    TEXT,
    WORDS,
    Running,
    explain_input,
    explain_request,
    gate,
    running_server,
    server_process,
    stream_request,
    table_input,
)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of `explicate replay`, and its verdicts."""
    code = main(["replay", "--format", "json", *arguments])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def replayed_by(
    running: Running, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, list[dict[str, Any]]]:
    """The same, asking a server in this process."""
    return await asyncio.to_thread(replayed, capsys, *arguments, "--server", running.target)


async def test_a_line_tells_who_asked_what_of_which_version_and_what_it_cost(
    tiny_repository: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    async with running_server(tiny_repository, audit_log=str(log)) as running:
        request = explain_request(TEXT, max_evaluations=120, tolerance=0.0, seed=7)
        answer = (await running.inference.Explain(request, metadata=(("x-request-id", "order-17"),))).result
        (line,) = lines_of(log)  # before the answer was here, not some time after
    assert line["request_id"] == "order-17"
    assert line["caller"] == "ipv4:127.0.0.1"
    assert line["call"] == "explicate.v1.InferenceService/Explain"
    version = answer.model
    assert (line["model"], line["version"], line["bundle_digest"]) == ("tiny", 1, version.bundle_digest)
    assert (line["runtime"], line["precision"]) == (version.runtime, version.precision)
    explanation = answer.explanation
    assert (line["evaluations"], line["rounds"]) == (explanation.evaluations, explanation.rounds)
    assert (line["stop_reason"], line["cut_by_clock"]) == ("budget", False)
    assert line["options"]["method"] == explanation.options.method == "kernel-shap"
    assert line["options"]["seed"] == 7
    assert line["options"]["max_evaluations"] == 120
    assert line["options"]["min_evaluations"] == explanation.options.min_evaluations
    assert line["method_version"] == explanation.method_version
    assert line["input_sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    values = np.array([list(each.values) for each in explanation.attributions], dtype="<f8")
    assert line["attributions_sha256"] == hashlib.sha256(values.tobytes()).hexdigest()
    assert line["attributions"] == values.tolist()
    assert "input" not in line
    assert "tea" not in log.read_text(encoding="ascii")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_a_stream_has_one_line_and_a_refused_call_none(tiny_repository: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    async with running_server(tiny_repository, audit_log=str(log)) as running:
        answers = [each async for each in running.inference.StreamExplain(stream_request(TEXT))]
        with pytest.raises(grpc.RpcError):
            await running.inference.Explain(explain_request(""))
        (line,) = lines_of(log)
        assert line["evaluations"] == answers[-1].result.explanation.evaluations


async def test_a_renamed_file_is_left_alone_and_a_new_one_begun(tiny_repository: Path, tmp_path: Path) -> None:
    log, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    async with running_server(tiny_repository, audit_log=str(log)) as running:
        await running.inference.Explain(explain_request("good tea"))
        log.rename(old)
        await running.inference.Explain(explain_request("bad tea"))
        assert [len(lines_of(path)) for path in (old, log)] == [1, 1]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_costs_lines_which_are_counted_and_no_answers(
    tiny_repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "audit.jsonl"
    async with running_server(tiny_repository, audit_log=str(log)) as running:
        await running.inference.Explain(explain_request("good tea"))
        with largest_file(log.stat().st_size + 100):  # room for a part of the next line
            for _ in range(3):
                answer = (await running.inference.Explain(explain_request("bad tea"))).result
                assert answer.explanation.attributions
        assert (running.server.audit.written, running.server.audit.lost) == (1, 3)
        await running.inference.Explain(explain_request("a cup of tea"))
        assert (running.server.audit.written, running.server.audit.lost) == (2, 3)
    first, torn, last = log.read_text(encoding="ascii").splitlines()
    assert json.loads(first)["input_sha256"] == hashlib.sha256(b"good tea").hexdigest()
    assert len(torn) == 100
    assert json.loads(last)["input_sha256"] == hashlib.sha256(b"a cup of tea").hexdigest()
    told = [record.getMessage() for record in caplog.records if "audit log" in record.getMessage()]
    assert len(told) == 2, "when it began and when it was over, not for each line"
    assert "3 lines were lost" in told[1]


async def test_a_log_that_cannot_be_opened_is_said_before_serving(tiny_repository: Path, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"cannot write the audit log .*No such file"):
        Server(Settings(repository=tiny_repository, audit_log=str(tmp_path / "nowhere" / "audit.jsonl")))


def ask_many(target: str) -> None:
    """Explanations with options of every sort."""
    with Client(target) as client:
        client.explain("tiny", TEXT)
        client.explain("tiny", "good tea")
        client.explain("tiny", TEXT, method="permutation-shap", seed=3, target="great", output_space="logit")
        client.explain("tiny", TEXT, method="lime", seed=11, max_evaluations=200)
        client.explain("tiny", TEXT, target=Contrast(0, "great"), top_k=2, quality="full")
        client.explain("tiny", " ".join(WORDS * 4), max_players=10, max_evaluations=300, tolerance=0.0)


def test_every_line_is_repeated_by_another_process(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.jsonl"
    with server_process(tiny_repository, "--audit-log", str(log), "--audit-inputs", "--threads", "1") as (_, target):
        ask_many(target)
    with server_process(tiny_repository, "--threads", "1") as (_, target):
        code, verdicts = replayed(capsys, str(log), "--server", target)
    assert len(verdicts) == 6
    # Which rows share a batch is a matter of time, and may change the last bits.
    assert {verdict["verdict"] for verdict in verdicts} <= {"same", "close"}, verdicts
    assert all(verdict["largest_difference"] <= 1e-5 for verdict in verdicts)
    assert code == 0


async def test_rows_of_tables_are_repeated(
    table_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.jsonl"
    numbers, codes = LOANS.rows(1, seed=5)
    row = table_input(LOANS.cells(numbers[0], codes[0]))
    async with running_server(table_repository, audit_log=str(log), audit_inputs=True) as running:
        await running.inference.Explain(explain_input(row, model="loans"))
    async with running_server(table_repository) as running:
        code, (verdict,) = await replayed_by(running, capsys, str(log))
    assert code == 0
    assert verdict["verdict"] in {"same", "close"}


async def test_an_input_that_the_log_has_not_can_be_given_and_must_be_the_same(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, right, wrong = tmp_path / "audit.jsonl", tmp_path / "right.txt", tmp_path / "wrong.txt"
    right.write_text(f"{TEXT}\n", encoding="utf-8")
    wrong.write_text("another text", encoding="utf-8")
    async with running_server(tiny_repository, audit_log=str(log)) as running:
        await running.inference.Explain(explain_request(TEXT))
        where = (running, capsys, str(log), "--line", "1")
        code, (verdict,) = await replayed_by(*where)
        assert (code, verdict["verdict"]) == (1, "unknown")
        code, (verdict,) = await replayed_by(*where, "--input", str(wrong))
        assert (code, verdict["verdict"]) == (1, "unknown")
        assert "another input" in verdict["what"]
        code, (verdict,) = await replayed_by(*where, "--input", str(right))
        assert (code, verdict["verdict"]) == (0, "same"), "the values of the first time are kept"


async def test_replaying_the_log_that_the_server_writes_comes_to_an_end(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.jsonl"
    async with running_server(tiny_repository, audit_log=str(log), audit_inputs=True) as running:
        for request_id in ("a", "b"):
            await running.inference.Explain(explain_request(TEXT), metadata=(("x-request-id", request_id),))
        code, verdicts = await replayed_by(running, capsys, str(log))
        assert (code, [verdict["line"] for verdict in verdicts]) == (0, [1, 2])
        assert len(lines_of(log)) == 4
        _, (verdict,) = await replayed_by(running, capsys, str(log), "--request-id", "b")
        assert verdict["line"] == 2
        assert await replayed_by(running, capsys, str(log), "--request-id", "never") == (2, [])


async def test_a_version_that_is_gone_is_named(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.jsonl"
    async with running_server(tiny_repository, audit_log=str(log), audit_inputs=True) as running:
        await running.inference.Explain(explain_request(TEXT))
        (line,) = lines_of(log)
        log.write_text(json.dumps({**line, "version": 7}) + "\n", encoding="ascii")
        code, (verdict,) = await replayed_by(running, capsys, str(log))
    assert (code, verdict["verdict"]) == (1, "gone")
    assert "tiny/7" in verdict["what"]


async def test_a_line_that_was_changed_is_found_and_a_torn_one_named(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, changed = tmp_path / "audit.jsonl", tmp_path / "changed.jsonl"
    async with running_server(tiny_repository, audit_log=str(log), audit_inputs=True) as running:
        await running.inference.Explain(explain_request(TEXT))
        whole = log.read_text(encoding="ascii")
        line = json.loads(whole)
        line["options"]["seed"] += 1
        line["bundle_digest"] = "0" * 64
        changed.write_text('{"time": "2026\n' + json.dumps(line) + "\n", encoding="ascii")
        code, (verdict,) = await replayed_by(running, capsys, str(changed))
        assert (code, verdict["verdict"]) == (1, "different")
        assert verdict["what"].startswith(f"bundle digest: {'0' * 64} then, ")
        assert verdict["largest_difference"] > 1e-5
        line = json.loads(whole)
        line["attributions"][0][0] *= 2
        changed.write_text(json.dumps(line) + "\n", encoding="ascii")
        code, (verdict,) = await replayed_by(running, capsys, str(changed))
        assert (code, verdict["verdict"]) == (1, "different")
        assert "the line was changed" in verdict["what"]
        changed.write_text('{"time": "2026\n' + whole, encoding="ascii")
        code, (verdict,) = await replayed_by(running, capsys, str(changed))
        assert (code, verdict["verdict"]) == (1, "same"), "a line that cannot be read is none that was repeated"
        arguments = ["replay", str(changed), "--line", "1", "--server", running.target]
        assert await asyncio.to_thread(main, arguments) == 2
        assert "line 1 is not a line of an audit log" in capsys.readouterr().err


async def test_the_rows_there_was_time_for_are_asked_for_again(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, cut = tmp_path / "audit.jsonl", tmp_path / "cut.jsonl"
    async with running_server(tiny_repository, audit_log=str(log), audit_inputs=True) as running:
        await running.inference.Explain(
            explain_request(TEXT, method="kernel-shap", max_evaluations=300, min_evaluations=100, tolerance=0.0)
        )
        (line,) = lines_of(log)
        assert line["fitted_evaluations"] == line["evaluations"] == 300
        # As if the clock had cut a budget of 5,000 to these rows; the engine's own tests hold that to be the same.
        line |= {"stop_reason": "deadline", "cut_by_clock": True}
        line["options"] |= {"max_evaluations": 5000, "tolerance": 0.2, "time_limit_s": 0.1}
        cut.write_text(json.dumps(line) + "\n", encoding="ascii")
        code, (verdict,) = await replayed_by(running, capsys, str(cut))
    assert (code, verdict["verdict"]) == (0, "same")
    assert "with the 300 rows there was time for" in verdict["what"]


async def test_an_explanation_cut_inside_a_round_is_not_called_different(
    tiny_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.jsonl"
    request = explain_request(" ".join(WORDS * 3), max_evaluations=2000, tolerance=0.0, time_limit_seconds=2.0)
    async with running_server(tiny_repository, audit_log=str(log), audit_inputs=True, max_memo_bytes=0) as running:
        gated = gate(running)
        gated.let_through(6)  # the endpoints, and a part of the first round
        answer = (await running.inference.Explain(request)).result
        gated.let_through(10_000)
        (line,) = lines_of(log)
        assert (line["stop_reason"], line["cut_by_clock"]) == ("deadline", True)
        assert line["unevaluated"] > 0
        assert answer.explanation.evaluations == line["evaluations"]
        code, (verdict,) = await replayed_by(running, capsys, str(log))
    assert (code, verdict["verdict"]) == (1, "cut")
    assert f"the clock chose which {line['unevaluated']:,} rows of the last round were left out" in verdict["what"]


async def test_the_caller_is_the_name_of_the_token_and_the_token_is_not_in_the_log(
    tiny_repository: Path, tmp_path: Path
) -> None:
    log, tokens, token = tmp_path / "audit.jsonl", tmp_path / "tokens", "a-token-of-high-entropy"
    tokens.write_text(f"billing  explain  sha256:{hashlib.sha256(token.encode()).hexdigest()}\n", encoding="ascii")
    tokens.chmod(0o600)
    async with running_server(tiny_repository, audit_log=str(log), tokens=str(tokens)) as running:
        await running.inference.Explain(explain_request(TEXT), metadata=(("authorization", f"Bearer {token}"),))
        with pytest.raises(grpc.RpcError):
            await running.inference.Explain(explain_request(TEXT))
    (line,) = lines_of(log)
    assert line["caller"] == "token:billing"
    assert token not in log.read_text(encoding="ascii")
