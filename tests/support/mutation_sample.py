"""A seeded sample of mutants, each against the tests of its room: how much of a change the tests notice.

A room is some source files and the test files that answer for them. All places of a room that can be mutated are
sorted, and a seed draws from them, so the same tree and seed give the same mutants. Each test file of the room runs
once under coverage; a mutant then meets only the files that reach its lines, the quickest first, up to the first
failure. A mutant survives if every one of them passes, or if no file reaches it.

Everything happens in a copy of the tree, in a temporary folder. Besides what the tests need, it needs coverage:

    pip install coverage
    PYTHONPATH=tests:$PYTHONPATH python -m support.mutation_sample --out mutants.json
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from support.mutation_points import Point, mutation_points

SERVER = "server/explicate_server"
UNIT = "tests/unit/server/test_"
WHOLE = "tests/integration/test_"
ROOMS = {
    "explain": [f"{SERVER}/explain"],
    "runtime": [f"{SERVER}/runtime"],
    "registry": [f"{SERVER}/registry", "bundle/explicate_bundle"],
}
TESTS = {
    "explain": ["tests/unit/explain", *(f"{UNIT}{name}.py" for name in ("table_sample", "text_pairs"))],
    "runtime": [
        *(f"{UNIT}{name}.py" for name in ("batch_cost", "batcher", "blocks", "evaluations_deadline", "metrics")),
        *(f"{UNIT}{name}.py" for name in ("queue", "runtime_choice", "runtimes", "shares", "text")),
    ],
    "registry": [
        *("tests/unit/bundle", f"{UNIT}golden_runtimes.py"),
        *(f"{UNIT}{name}.py" for name in ("label_store", "leases", "memory", "model_entry", "runtime_choice")),
        *(f"{UNIT}{name}.py" for name in ("table_sample", "traffic", "watches")),
        *(f"{WHOLE}{name}.py" for name in ("broken_bundles", "canary_and_shadow", "labels_kept", "swap", "watch_mode")),
    ],
}
SEED = 14
PER_ROOM = 20
CAP_S = 120.0
# A busy machine is slower than it was when the tests were timed; a test that waits for ever is still caught.
SLOWER = 4.0
# Not part of the tree: what tools left at its root.
LEFT_OUT = {".git", ".venv", ".hypothesis", "runs", "repository", "build", "dist"}
PYTEST = ["pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--hypothesis-seed=0"]
COVERAGE = """[run]
data_file = {data}
parallel = true
patch = subprocess
include =
    {include}
[report]
exclude_lines = (?!)
"""


@dataclass(frozen=True)
class Run:
    """How a run of some test files ended: its exit status (None: it ran out of time), its output, its seconds."""

    status: int | None
    output: str
    seconds: float

    @property
    def first_failure(self) -> str:
        """The test, or the file, that pytest names first among those that failed."""
        named = re.search(r"^(?:FAILED|ERROR) (\S+\.py\S*)", self.output, re.MULTILINE)
        return named[1] if named else ""


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant. ``verdict`` is killed, timed out, survived or not reached."""

    room: str
    path: str
    line: int
    before: str
    after: str
    verdict: str
    seconds: float
    killed_by: str = ""

    @property
    def killed(self) -> bool:
        return self.verdict in ("killed", "timed out")


@dataclass(frozen=True)
class Reach:
    """What one test file runs: its seconds, and the lines by source file, as paths from the root."""

    test_file: str
    seconds: float
    lines: Mapping[str, frozenset[int]]

    def meets(self, point: Point) -> bool:
        """Whether the statement of a mutation point runs."""
        return not self.lines.get(point.path, frozenset()).isdisjoint(point.statement)


class Tree:
    """A copy of a source tree, to mutate and to run tests in."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Copy ``root`` into ``folder``; what Python finds under ``root`` now is found in the copy by ``run``."""
        self.path, self._scratch = folder / "tree", folder
        shutil.copytree(root, self.path, ignore=_left_out_of(root))
        found = [Path(entry).resolve() for entry in sys.path[1:]]
        inside = [entry.relative_to(root) for entry in found if entry.is_relative_to(root)]
        paths = [str(self.path / entry) for entry in inside if not LEFT_OUT.intersection(entry.parts)]
        self._environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
            "PYTHONDONTWRITEBYTECODE": "1",  # a mutant may have the size and the second of the file before it
            "OMP_NUM_THREADS": "1",
        }

    def run(self, module: Sequence[str], timeout_s: float | None = None) -> Run:
        """Run a Python module in the copy; past ``timeout_s`` it ends, with every process that it started."""
        started = time.monotonic()
        with (self._scratch / "output").open("w+") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.path,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            status = _status(process, timeout_s)
            output.seek(0)
            return Run(status, output.read(), time.monotonic() - started)

    def test(self, test_files: Sequence[str], timeout_s: float) -> Run:
        """Run test files up to the first failure."""
        return self.run([*PYTEST, f"--basetemp={self._scratch / 'pytest'}", *test_files], timeout_s)

    def reach(self, test_file: str, sources: Sequence[str]) -> Reach:
        """Run one test file under coverage.

        Raises:
            SystemExit: it fails before anything was mutated.
        """
        folder = self._scratch / "coverage"
        folder.mkdir()
        settings, report = folder / "rc", folder / "report.json"
        include = "\n    ".join(str(self.path / source) for source in sources)
        settings.write_text(COVERAGE.format(data=folder / "data", include=include))
        with_settings = f"--rcfile={settings}"
        run = self.run(["coverage", "run", with_settings, "-m", *PYTEST, f"--basetemp={folder / 'pytest'}", test_file])
        if run.status != 0:
            raise SystemExit(f"{test_file} fails without a mutant:\n{run.output}")
        self.run(["coverage", "combine", "-q", with_settings])
        self.run(["coverage", "json", "-q", with_settings, "-o", str(report)])
        files = json.loads(report.read_text())["files"] if report.exists() else {}
        shutil.rmtree(folder)
        lines = {path: frozenset(figures["executed_lines"]) for path, figures in files.items()}
        return Reach(test_file, run.seconds, lines)


def main() -> None:
    """Draw the mutants of the rooms asked for, try each, and print a line per room."""
    arguments = _parser().parse_args()
    root = arguments.root.resolve()
    rooms, tests = _merged(ROOMS, arguments.room), _merged(TESTS, arguments.tests)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Tree(root, Path(folder))
        for room in arguments.only or rooms:
            sources = _files(root, rooms[room], "*.py")
            drawn = _drawn(root, sources, seed=arguments.seed, count=arguments.per_room)
            reaches = _reaches(tree, _files(root, tests[room], "test_*.py"), sources)
            for point in drawn:
                verdicts.append(_try(tree, room, point, reaches, arguments.cap_s))
                _say("{verdict:<11} {seconds:5.1f} s  {path}:{line}  {before!r} -> {after!r}", verdicts[-1])
                arguments.out.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")
    for room in dict.fromkeys(verdict.room for verdict in verdicts):
        print(_summary(room, [verdict for verdict in verdicts if verdict.room == room]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the source tree (default: the current folder)")
    parser.add_argument(
        "--room",
        action="append",
        default=[],
        metavar="NAME=PATH,PATH",
        help="a room's source: folders and files from the root (once for each room that differs from the table)",
    )
    parser.add_argument(
        "--tests", action="append", default=[], metavar="NAME=PATH,PATH", help="a room's tests, likewise"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this room (may be repeated)")
    parser.add_argument("--per-room", type=int, default=PER_ROOM, help="mutants of each room (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="what the sample is drawn with (default: %(default)s)")
    parser.add_argument(
        "--cap-s",
        type=float,
        default=CAP_S,
        help=f"seconds for one mutant's tests, or {SLOWER:g} times what they took unmutated, whichever is more "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=Path("mutants.json"), help="every mutant (default: %(default)s)")
    return parser


def _merged(table: Mapping[str, list[str]], changes: Iterable[str]) -> dict[str, list[str]]:
    changed = (change.partition("=") for change in changes)
    return {**table, **{name: paths.split(",") for name, _, paths in changed}}


def _files(root: Path, places: Iterable[str], pattern: str) -> list[str]:
    """The files at some places, each once, as paths from the root.

    Raises:
        SystemExit: a place has none.
    """
    files: dict[str, None] = {}
    for place in places:
        path = root / place
        found = [path] if path.is_file() else sorted(path.rglob(pattern))
        if not found:
            raise SystemExit(f"{place} has no {pattern} under {root}")
        files.update((file.relative_to(root).as_posix(), None) for file in found)
    return list(files)


def _drawn(root: Path, sources: Iterable[str], *, seed: int, count: int) -> list[Point]:
    points = sorted(point for source in sources for point in mutation_points(source, (root / source).read_bytes()))
    shuffled = random.Random(seed).sample(points, len(points))
    valid = (point for point in shuffled if point.changes((root / point.path).read_bytes()))
    return sorted(point for point, _ in zip(valid, range(count), strict=False))


def _reaches(tree: Tree, test_files: Iterable[str], sources: Sequence[str]) -> list[Reach]:
    """What each test file reaches, the quickest first."""
    reaches = []
    for test_file in test_files:
        reaches.append(tree.reach(test_file, sources))
        print(f"{test_file} passes in {reaches[-1].seconds:.1f} s", file=sys.stderr)
    return sorted(reaches, key=lambda reach: reach.seconds)


def _try(tree: Tree, room: str, point: Point, reaches: Iterable[Reach], cap_s: float) -> Verdict:
    """Mutate one file, run the tests that reach the place, and put the file back."""
    meeting = [reach for reach in reaches if reach.meets(point)]
    about = (room, point.path, point.line, point.before, point.after)
    if not meeting:
        return Verdict(*about, verdict="not reached", seconds=0.0)
    file = tree.path / point.path
    source = file.read_bytes()
    file.write_bytes(point.applied(source))
    cap_s = max(cap_s, SLOWER * sum(reach.seconds for reach in meeting))
    run = tree.test([reach.test_file for reach in meeting], cap_s)
    file.write_bytes(source)
    verdict = {None: "timed out", 0: "survived"}.get(run.status, "killed")
    return Verdict(*about, verdict=verdict, seconds=round(run.seconds, 1), killed_by=run.first_failure)


def _summary(room: str, verdicts: Sequence[Verdict]) -> str:
    killed = sum(verdict.killed for verdict in verdicts)
    unreached = sum(verdict.verdict == "not reached" for verdict in verdicts)
    survived = len(verdicts) - killed - unreached
    score = 100.0 * killed / len(verdicts)
    return f"{room}: {killed} of {len(verdicts)} killed ({score:.0f} %), {survived} survived, {unreached} not reached"


def _say(form: str, verdict: Verdict) -> None:
    print(form.format(**asdict(verdict)), file=sys.stderr, flush=True)


def _status(process: "subprocess.Popen[bytes]", timeout_s: float | None) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):  # also the servers that a failed test left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _left_out_of(root: Path) -> Callable[[str, list[str]], set[str]]:
    def left_out(folder: str, names: list[str]) -> set[str]:
        tools = {name for name in names if name == "__pycache__" or name.endswith("_cache")}
        return tools | (LEFT_OUT.intersection(names) if Path(folder) == root else set())

    return left_out


if __name__ == "__main__":
    main()
