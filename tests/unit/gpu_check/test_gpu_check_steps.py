"""The GPU check without a GPU: what it says then, how it bounds its steps, and what its table says of the figures."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check import __main__ as gpu_check
from benchmarks.gpu_check.__main__ import Check, Step, Steps
from benchmarks.gpu_check.findings import BEGUN, DONE, Findings
from benchmarks.gpu_check.findings_table import gather_logs, goals, table, write_report
from benchmarks.gpu_check.outside_commands import DOCKERFILE, image_command, write_metadata
from explicate_server.runtime.devices.cuda import CUDA

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(CUDA.why_not() is None, reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_in_a_sentence_and_exits_with_4() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check"], capture_output=True, text=True, cwd=ROOT, timeout=100
    )
    assert done.returncode == 4
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("no GPU check here: ")
    assert line.endswith("; --rehearse runs the steps on the CPU")


def check(tmp_path: Path) -> Check:
    for folder in ("steps", "logs"):
        (tmp_path / folder).mkdir()
    return Check(tmp_path, "cpu", ["a", "b"], rehearsed=True)


def steps_that_run(check: Check, monkeypatch: pytest.MonkeyPatch, code: str) -> Steps:
    """Steps whose processes run some Python instead, which finds the step's file in `path`."""
    popen = subprocess.Popen

    def instead(command: list[str], **options: Any) -> "subprocess.Popen[str]":
        step = command[command.index("--step") + 1]
        path = check.findings(step).path
        source = f"import time\nfrom pathlib import Path\nfrom benchmarks.gpu_check.findings import Findings\n{code}"
        return popen([sys.executable, "-c", f"path = {str(path)!r}\n{source}"], **options)

    monkeypatch.setattr(gpu_check.subprocess, "Popen", instead)
    return Steps(check, minutes=5)


def test_a_step_that_hangs_is_ended_at_its_limit_and_goes_on_behind_the_part_that_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs_once = """
findings = Findings.of(Path(path))
findings.part("hangs", lambda: time.sleep(1000))
findings.part("behind", lambda: findings.add("x", 1))
"""
    steps = steps_that_run(check(tmp_path), monkeypatch, hangs_once)
    process = steps._process
    monkeypatch.setattr(steps, "_process", lambda step, log, limit_s: process(step, log, min(limit_s, 15.0)))
    steps.run(Step("graph a", 60.0))
    found = Findings.of(tmp_path / "steps" / "graph-a.json")
    assert found.parts == {"hangs": BEGUN, "behind": DONE}
    assert found.figures == {"x": 1}
    assert steps.left_out == []


def test_a_process_that_fails_before_its_first_part_is_a_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps_that_run(check(tmp_path), monkeypatch, "raise SystemExit(3)")
    steps.run(Step("graph a", 60.0))
    found = Findings.of(tmp_path / "steps" / "graph-a.json")
    assert "ended with 3 outside its parts" in found.failures["the process"]
    monkeypatch.undo()
    steps_that_run(Check(tmp_path, "cpu", ["a"], rehearsed=True), monkeypatch, "").run(Step("graph a", 60.0))
    assert Findings.of(tmp_path / "steps" / "graph-a.json").failures == {}


def test_once_the_time_is_over_no_step_is_begun(tmp_path: Path) -> None:
    steps = Steps(check(tmp_path), minutes=0)
    steps.run(Step("graph a", 60.0))
    assert steps.left_out == ["graph a"]
    assert not list((tmp_path / "steps").iterdir())


def test_a_model_that_was_not_made_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(steps: Steps, step: Step) -> None:
        ran.append(step.name)
        found = Findings.of(tmp_path / "work" / "steps" / f"{step.name.replace(' ', '-')}.json")
        found.note("built", RuntimeError("no") if step.name == "build a" else None)

    monkeypatch.setattr(Steps, "run", run)
    check = Check(tmp_path / "work", "cpu", ["a", "b"], rehearsed=True)
    assert not gpu_check.check_all(check, tmp_path, minutes=1)
    assert ran == [
        "build a", "build b", "tests", "graph b", "serve b", "image", "training", "torch b",
    ]  # fmt: skip
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "build a: built: RuntimeError: no" in text
    assert "graph a, as its model was not made" in text


FIGURES: dict[str, dict[str, Any]] = {
    "graph bert-base": {
        "rows/s, 8 x 32, fp32, IO binding": 100.0,
        "rows/s, 8 x 32, fp16, IO binding": 150.0,
        "rows/s, 512 x 64, fp32, IO binding": 100.0,
        "rows/s, 512 x 64, fp16, IO binding": 400.0,
        "batcher of bare, 512 x 64, fp16": 0.95,
    },
    "serve bert-base": {"explanation of 50 words, 8n rows, s": 0.05, "explanation of 50 words, 8n rows: rows": 400},
}


def test_goals_are_held_against_their_figures() -> None:
    found = {told: (value, reached) for told, value, reached in goals(FIGURES)}
    assert found["BERT-base, 50 words, 8n rows: under 30 ms"] == (0.05, False)
    assert found["≥ .9 of bare IO-bound rows/s"] == (0.95, True)
    assert found["ResNet-50, 49 segments: under 100 ms"] == (None, False)
    assert found["fp16 ≥ 2.5 x fp32's rows/s, bert-base"] == (4.0, True)


def test_the_table_has_every_figure_and_says_what_failed() -> None:
    lines = list(table({"machine": {"cuda:0": "NVIDIA Test"}, "failures": ["tests: x: no"], "figures": FIGURES}))
    assert "Measured on cuda:0 NVIDIA Test." in lines
    assert "| batcher of bare, 512 x 64, fp16 | 0.95 |" in lines
    assert "| BERT-base, 50 words, 8n rows: under 30 ms | 0.05 | missed |" in lines
    assert lines[-2:] == ["What failed or was left out:", "- tests: x: no"]


def test_the_report_is_a_success_only_if_nothing_failed_and_nothing_was_left_out(tmp_path: Path) -> None:
    fine = Findings(tmp_path / "a.json", {"x": 1}, {"part": DONE})
    assert write_report(tmp_path, {"a": fine}, device="cpu", times={}, left_out=[])
    assert not write_report(tmp_path, {"a": fine}, device="cpu", times={}, left_out=["b"])
    fine.parts["other"] = BEGUN
    assert not write_report(tmp_path, {"a": fine}, device="cpu", times={}, left_out=[])


def test_the_ends_of_all_logs_are_carried_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.txt").write_text("".join(f"line {number}\n" for number in range(1000)))
    (tmp_path / "logs" / "b.txt").write_bytes(b"\xff last\n")
    gather_logs(tmp_path / "logs", tmp_path / "logs.txt")
    text = (tmp_path / "logs.txt").read_text(encoding="utf-8")
    assert "==> a.txt\nline 800\n" in text
    assert "line 999\n" in text
    assert "last" in text


def test_where_nothing_is_installed_the_subcommands_are_found_by_metadata_that_it_writes(tmp_path: Path) -> None:
    write_metadata(tmp_path)
    (found,) = metadata.distributions(path=[str(tmp_path)])
    installed = metadata.distribution("explicate")
    ours, theirs = (
        {(entry.name, entry.value) for entry in each.entry_points if entry.group == "explicate.commands"}
        for each in (found, installed)
    )
    assert {name for name, _ in ours} >= {"client", "server", "training", "export"}
    assert theirs <= ours
    assert found.version == installed.version


def test_the_images_commands_are_read_from_its_dockerfile() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert image_command(text, "CMD")[0] == "serve"
    assert image_command(text, "HEALTHCHECK")[:2] == ["explicate", "health"]
