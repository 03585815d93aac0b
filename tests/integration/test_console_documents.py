"""What docs/api.md says of HTTP and JSON: its lines are run, and say what is written under them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.console import console_process
from support.harness import server_process

API = Path(__file__).parents[2] / "docs" / "api.md"
BLOCK = re.compile(r"(?s)```(\w*)\n(.*?)```")
TOLD = "127.0.0.1:8600"


@pytest.fixture(scope="module")
def here(tiny_repository: Path) -> Iterator[str]:
    """Host and port of a console whose server has the model of the document."""
    with server_process(tiny_repository, "--threads", "1") as (_, target), console_process(target) as url:
        yield url.removeprefix("http://")


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block of the section."""
    section = API.read_text(encoding="utf-8").split("\n## HTTP and JSON\n")[1].split("\n## ")[0]
    return BLOCK.findall(section)


def test_each_line_of_curl_says_what_is_written_under_it(here: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None or shutil.which("jq") is None:
        pytest.skip("the document's lines need curl and jq, and one of them is not here")
    commands = [
        re.split(r"(?<!\\)\n", command, maxsplit=1)
        for language, text in blocks()
        if not language
        for command in re.split(r"(?m)^\$ ", text)[1:]
    ]
    assert len(commands) == 5
    for line, wanted in commands:
        assert TOLD in line or line.startswith("jq ")
        done = subprocess.run(
            ["bash", "-c", line.replace(TOLD, here)], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        told = done.stderr + done.stdout
        assert _values(told) == _values(wanted), line


def test_the_program_that_reads_a_stream_prints_what_is_written_under_it(here: str) -> None:
    found = blocks()
    (at,) = [index for index, (language, _) in enumerate(found) if language == "python"]
    program, wanted = found[at][1].replace(TOLD, here), found[at + 1][1]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (wanted, "")


def _values(lines: str) -> list[object]:
    """Each line as JSON, numbers to what any CPU agrees on."""
    return [_rounded(json.loads(line)) for line in lines.splitlines()]


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return pytest.approx(value, abs=1e-3) if isinstance(value, float) else value
