"""What a step of the GPU check keeps: each part's figures and failure, whatever ends the process."""

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.gpu_check.findings import BEGUN, DONE, Findings, require


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    return Findings.of(tmp_path / "steps" / "one.json")


def again(findings: Findings) -> Findings:
    """As another process reads it."""
    return Findings.of(findings.path)


def test_a_figure_is_in_the_file_as_soon_as_it_is_known(findings: Findings) -> None:
    findings.add("rows/s", 12.5)
    assert again(findings).figures == {"rows/s": 12.5}


def test_a_part_that_fails_does_not_end_the_others_and_says_why(findings: Findings) -> None:
    assert not findings.part("first", lambda: require(False, "fp32 differs by 0.1, 1e-04 is allowed"))
    assert not findings.part("second", lambda: {}["x"])
    assert findings.part("third", lambda: findings.add("x", 1))
    assert again(findings).failures == {"first": "fp32 differs by 0.1, 1e-04 is allowed", "second": "KeyError: 'x'"}
    assert again(findings).parts["third"] == DONE


def test_a_part_that_ended_the_process_is_not_begun_again_and_those_behind_it_are(findings: Findings) -> None:
    def dies() -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        findings.part("dies", dies)
    later = again(findings)
    assert later.failures == {"dies": BEGUN}
    ran: list[str] = []
    assert not later.part("dies", lambda: ran.append("dies"))
    assert later.part("behind", lambda: ran.append("behind"))
    assert ran == ["behind"]


def test_what_is_done_is_not_done_again_and_what_failed_is_when_asked_for(findings: Findings) -> None:
    ran: list[str] = []
    findings.part("done", lambda: ran.append("done"))
    findings.part("failed", lambda: require(False, "no"))
    later = again(findings)
    later.again()
    assert later.part("done", lambda: ran.append("done"))
    assert later.part("failed", lambda: ran.append("failed"))
    assert ran == ["done", "failed"]


def test_parts_on_the_event_loop_are_kept_alike(findings: Findings) -> None:
    async def fails() -> None:
        require(False, "late")

    async def works() -> None:
        findings.add("y", 2)

    async def both() -> None:
        assert not await findings.awaited("fails", fails)
        assert await findings.awaited("works", works)

    asyncio.run(both())
    assert json.loads(findings.path.read_text(encoding="utf-8"))["parts"] == {"fails": "late", "works": DONE}
