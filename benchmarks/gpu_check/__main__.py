"""`python -m benchmarks.gpu_check`: all steps, each a process of its own, and a table of what they found."""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_check.findings import BEGUN, Findings, Missed
from benchmarks.gpu_check.findings_table import gather_logs, write_report
from benchmarks.gpu_check.outside_commands import ROOT, show_commands
from benchmarks.gpu_check.random_models import ON_A_GPU, REHEARSED
from explicate_server.runtime.devices.cuda import CUDA

NO_GPU = 4  # exit code
_MINUTES, _REHEARSAL_MINUTES, _REHEARSAL_LIMITS = 8.0, 30.0, 4.0
_TESTS_LIMIT_S = 150.0
_PROCESS = "the process"
# Models are made side by side: each is a few seconds of torch and a minute of export.
_BUILDS_AT_ONCE = 5


@dataclass(frozen=True)
class Step:
    """A process: what it does, and when it is ended."""

    name: str
    limit_s: float


@dataclass(frozen=True)
class Check:
    """What is checked, and where models, logs and what steps found are kept."""

    out: Path
    device: str
    models: Sequence[str]
    rehearsed: bool

    @property
    def first(self) -> list[Step]:
        """What must be there before anything is measured, and the tests."""
        return [*(self._step(f"build {name}", 240) for name in self.models), self._step("tests", _TESTS_LIMIT_S)]

    @property
    def measured(self) -> Iterator[Step]:
        """One after the other: what matters most comes first."""
        for name in self.models:
            yield self._step(f"graph {name}", 60)
            yield self._step(f"serve {name}", 75)
        yield self._step("image", 60)
        yield self._step("training", 90)
        for name in self.models:
            yield self._step(f"torch {name}", 60)

    def _step(self, name: str, limit_s: float) -> Step:
        """A rehearsal may be on a machine that has other things to do."""
        return Step(name, limit_s * (_REHEARSAL_LIMITS if self.rehearsed else 1))

    def findings(self, step: str) -> Findings:
        """What a step has found so far."""
        return Findings.of(self.out / "steps" / f"{step.replace(' ', '-')}.json")


def do(step: str, check: Check) -> None:
    """A step, in this process."""
    from threadpoolctl import threadpool_limits

    what, _, name = step.partition(" ")
    findings = check.findings(step)
    with threadpool_limits(limits=1, user_api="blas") if what in ("graph", "serve") else contextlib.nullcontext():
        _WORK[what](name, check, findings)


def _build(name: str, check: Check, findings: Findings) -> None:
    from benchmarks.gpu_check.random_models import build

    findings.part("built", lambda: build(name, check.out, findings))


def _graph(name: str, check: Check, findings: Findings) -> None:
    from benchmarks.gpu_check.bare_graph import check_graph

    check_graph(name, check.out, check.device, findings)


def _serve(name: str, check: Check, findings: Findings) -> None:
    from benchmarks.gpu_check.served_figures import check_served

    check_served(name, check.out, check.device, findings, short=check.rehearsed)


def _torch(name: str, check: Check, findings: Findings) -> None:
    from benchmarks.gpu_check.torch_speed import check_torch

    compiles = not check.rehearsed or name == check.models[0]  # on a CPU it takes longer than all the rest
    check_torch(name, check.out, check.device, findings, compiles=compiles)


def _tests(_name: str, check: Check, findings: Findings) -> None:
    from benchmarks.gpu_check.outside_commands import check_tests

    check_tests(
        check.out, check.device, findings, limit_s=_TESTS_LIMIT_S * (_REHEARSAL_LIMITS if check.rehearsed else 1)
    )


def _image(_name: str, check: Check, findings: Findings) -> None:
    from benchmarks.gpu_check.outside_commands import check_image_commands

    check_image_commands(check.out, check.device, findings)


def _training(_name: str, check: Check, findings: Findings) -> None:
    from benchmarks.gpu_check.outside_commands import check_training

    check_training(check.out, check.device, findings)


_WORK: dict[str, Callable[[str, Check, Findings], None]] = {
    "build": _build,
    "tests": _tests,
    "graph": _graph,
    "serve": _serve,
    "torch": _torch,
    "image": _image,
    "training": _training,
}


class Steps:
    """Runs steps as processes until the time is over."""

    def __init__(self, check: Check, minutes: float) -> None:
        self._check = check
        self._end_s = time.monotonic() + 60 * minutes
        self.times: dict[str, float] = {}
        self.left_out: list[str] = []

    def run(self, step: Step) -> None:
        """Run it to its end or its limit; after a part that had to be ended, once more for the parts behind it."""
        begun_s = time.monotonic()
        log = self._check.out / "logs" / f"{step.name.replace(' ', '-')}.txt"
        for again in (False, True):
            left_s = min(step.limit_s - (time.monotonic() - begun_s), self._end_s - time.monotonic())
            if left_s < 2.0:
                if not again:
                    self.left_out.append(step.name)
                break
            ended = self._process(step, log, left_s)
            # A process that ended by itself, in order or not, may have left parts behind the one that ended it.
            if ended == 0 or BEGUN not in self._check.findings(step.name).parts.values():
                self._note(step, ended, log)
                break
        self.times[step.name] = round(time.monotonic() - begun_s, 1)

    def _note(self, step: Step, ended: int | None, log: Path) -> None:
        """Keep that a process failed apart from its parts: it may not have come to the first one."""
        findings = self._check.findings(step.name)
        if ended != 0:
            how = "was ended at its limit" if ended is None else f"ended with {ended}"
            findings.note(_PROCESS, Missed(f"it {how} outside its parts; see {log}"))
        elif _PROCESS in findings.parts:
            findings.note(_PROCESS, None)

    def _process(self, step: Step, log: Path, limit_s: float) -> int | None:
        """The exit code; None when it was ended at its limit."""
        command = [sys.executable, "-m", "benchmarks.gpu_check", "--step", step.name]
        command += [
            "--work",
            str(self._check.out),
            "--device",
            self._check.device,
            *(["--rehearse"] if self._check.rehearsed else []),
        ]
        with log.open("a", encoding="utf-8") as sink:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=sink, text=True, cwd=ROOT, start_new_session=True
            )
            reading = ThreadPoolExecutor(1)
            reading.submit(_show, process, step.name)
            try:
                return process.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                print(f"{step.name}: ended after {limit_s:.0f} s", flush=True)
                return None
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, 9)  # with the servers it has started
                process.wait()
                reading.shutdown()
                if process.stdout is not None:
                    process.stdout.close()


def _show(process: "subprocess.Popen[str]", name: str) -> None:
    """What a step prints, each line with its name."""
    assert process.stdout is not None
    for line in process.stdout:
        print(f"{name:<18} {line.rstrip()}", flush=True)


def check_all(check: Check, results: Path, minutes: float) -> bool:
    """Run all steps, writing the report after each, and print it; whether nothing failed."""
    for folder in ("steps", "logs"):
        (check.out / folder).mkdir(parents=True, exist_ok=True)
    results.mkdir(parents=True, exist_ok=True)
    steps = Steps(check, minutes)

    def written() -> bool:
        names = [step.name for step in (*check.first, *check.measured)]
        found = {name: check.findings(name) for name in names}
        return write_report(results, found, device=check.device, times=steps.times, left_out=steps.left_out)

    with ThreadPoolExecutor(1 if check.rehearsed else _BUILDS_AT_ONCE) as side_by_side:
        list(side_by_side.map(steps.run, check.first))
    written()
    for step in check.measured:
        if step.name.partition(" ")[2] in check.models and check.findings(f"build {step.name.split(' ')[1]}").failures:
            steps.left_out.append(f"{step.name}, as its model was not made")
            continue
        steps.run(step)
        written()  # whatever ends the whole, what was found is there
    fine = written()
    gather_logs(check.out / "logs", results / "logs.txt")
    print(
        f"\n{(results / 'table.md').read_text(encoding='utf-8')}\nin {results}, with figures.json and logs.txt",
        flush=True,
    )
    return fine


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check; the exit code is 4 without a GPU, 1 if something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description="Checks and measures a server on a CUDA device: a table and figures in the folder --out.",
        epilog="Exit codes: 0 all was done and is as it must be, 1 not, 2 wrong usage, 4 no CUDA device can be used.",
    )
    parser.add_argument("--rehearse", action="store_true", help="all steps on the CPU, with tiny models: two minutes")
    parser.add_argument("--device", help="cuda, cuda:1, …; cpu is what --rehearse takes (default: cuda)")
    parser.add_argument("--models", help=f"shapes, separated by commas (default: {','.join(ON_A_GPU)})")
    parser.add_argument(
        "--out",
        type=Path,
        default=os.environ.get("OUT"),
        help="folder for figures.json, table.md and logs.txt (default: $OUT, or a new one)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for models and what steps found; what is done in it is not done again (default: work, in --out)",
    )
    parser.add_argument("--again", action="store_true", help="do once more what failed in --work")
    parser.add_argument("--minutes", type=float, help="when all steps are ended (default: 8; of a rehearsal 30)")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    device = arguments.device or ("cpu" if arguments.rehearse else "cuda")
    reason = CUDA.why_not() if device.startswith("cuda") else None
    if reason:
        print(f"no GPU check here: {reason}; --rehearse runs the steps on the CPU", file=sys.stderr)
        return NO_GPU
    models = (arguments.models or ",".join(REHEARSED if arguments.rehearse else ON_A_GPU)).split(",")
    out = Path(arguments.out or tempfile.mkdtemp(prefix="gpu-check-")).resolve()
    work = (arguments.work or out / "work").resolve()
    check = Check(work, device, models, arguments.rehearse)
    show_commands(work)
    if arguments.step:
        do(arguments.step, check)
        return 0
    if arguments.again:
        for step in (*check.first, *check.measured):
            check.findings(step.name).again()
    minutes = arguments.minutes or (_REHEARSAL_MINUTES if arguments.rehearse else _MINUTES)
    print(f"the figures go to {out}", flush=True)
    return 0 if check_all(check, out, minutes) else 1


if __name__ == "__main__":
    sys.exit(main())
