"""A check that takes long: it says first how long, and goes on after `kill -9` to the same verdict, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from explicate_standards.partial_file import PartialFile
from explicate_standards.standard.check import check
from explicate_standards.standard.standard import read_standard
from explicate_standards.standard.verdict_report import as_document
from support.judged_bundles import GOOD, WORSE, standard_file
from support.measured_models import LABELS, linear, publish_table, table_line, write_rows

ROWS = 600  # three parts of 256 at most
KILLED = """\
import os, signal, sys
from pathlib import Path
from explicate_standards.measuring import Progress
from explicate_standards.standard.check import check
from explicate_standards.standard.standard import read_standard

told, calls = Progress.told, []

def kill(self, *numbers):
    calls.append(numbers)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)

Progress.told = kill
bundle, standard, rows, live = map(Path, sys.argv[1:])
check(read_standard(standard), bundle, rows, against=live, say=print)
"""
REQUIRED = (
    '{ id = "auroc", metric = "auroc", at_least = 0.5 },'
    '{ id = "no-worse", metric = "accuracy", against = "live", margin = 0.05 },'
    '{ id = "noise", metric = "robustness.noise", ratio = 0.9 },'
    '{ id = "fast", metric = "latency_ms", at_most = 1000 }'
)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Path]:
    """A bundle, a standard, rows, and what is live."""
    home = tmp_path_factory.mktemp("given")
    values = np.random.Generator(np.random.Philox(1)).normal(size=(ROWS, len(GOOD))).round(3)
    lines = [table_line(row.tolist(), label=LABELS[int(row @ np.array(GOOD) > 0.3)]) for row in values]
    bundle, live = (
        publish_table(home / name, linear(weights), len(GOOD), labels=LABELS, spread=True)
        for name, weights in (("new", GOOD), ("live", WORSE))
    )
    return bundle, standard_file(home / "s.toml", REQUIRED), write_rows(home / "rows.jsonl", lines), live


def document(
    given: tuple[Path, Path, Path, Path], cache: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> dict[str, object]:
    bundle, standard, rows, live = given
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    found = as_document(check(read_standard(standard), bundle, rows, against=live, say=said.append))
    *timeless, fast = found["requirements"]
    assert fast["id"] == "fast"
    return {**found, "requirements": timeless}


def test_a_killed_check_goes_on_and_gives_the_same_verdict(
    given: tuple[Path, Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [sys.executable, "-c", KILLED, *map(str, given)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    killed = subprocess.run(script, check=False, capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (file,) = (tmp_path / "cache" / "explicate" / "evaluations").iterdir()
    with file.open("a") as cut:
        cut.write('[5, {"outputs": [[0.1')  # the process ended inside a line
    fresh: list[int] = []
    add = PartialFile.add
    monkeypatch.setattr(PartialFile, "add", lambda self, place, what: fresh.append(place) or add(self, place, what))
    said: list[str] = []
    resumed = document(given, tmp_path / "cache", monkeypatch, said)
    added = list(fresh)
    whole = document(given, tmp_path / "other", monkeypatch, [])
    assert json.dumps(resumed) == json.dumps(whole)
    # Three parts of the model and one of what is live were answered, of nine; the times (-1) were not measured.
    assert f"of which {ROWS + 256} are answered already" in " ".join(said)
    assert added == [5, 6, 7, 8, 9, -1]
    assert not list(file.parent.iterdir()), "what is finished is not kept"


def test_it_says_first_what_it_will_ask_and_how_long_that_takes(
    given: tuple[Path, Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    document(given, tmp_path / "cache", monkeypatch, said)
    estimate = next(line for line in said if "first small batch" in line)
    assert estimate.startswith("600 rows, 600 for table version 1, 600 with noise: about ")
    assert said.index(estimate) < said.index(next(line for line in said if line.startswith("1,800 of 1,800 inputs")))


def test_a_change_of_the_standard_or_of_what_is_live_begins_anew(
    given: tuple[Path, Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, standard, rows, live = given
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("explicate_standards.measuring.Progress.told", cut)
    other = standard.with_name("other.toml")
    other.write_text(standard.read_text().replace("0.05", "0.04"))
    for path, beside in ((standard, live), (other, live), (standard, bundle)):
        with pytest.raises(KeyboardInterrupt):
            check(read_standard(path), bundle, rows, against=beside, say=lambda _: None)
    assert len(list((tmp_path / "cache" / "explicate" / "evaluations").iterdir())) == 3
