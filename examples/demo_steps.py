"""What every demo does: train, export, serve and ask, each step a command that can be repeated by hand."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path("repository")
# From so few inputs the intervals are wide; `explicate evaluate` takes 200, and all metrics.
_EVALUATED = ("--evaluate", "--evaluate-inputs", "30", "--evaluate-metrics")
_METRICS = "masked_accuracy,additive_r2,evaluations_per_player,comprehensiveness,sufficiency"


def run(runs: Mapping[str, Path], show: Callable[[str], None], told: Callable[[], str], by_hand: str) -> int:
    """Train, export and serve models, show what they answer, and tell of it; returns the exit code.

    runs: from each model's name to its run. show: asks the server at an address. told: how good the models are.
    by_hand: a command to go on with.
    """
    started_s = time.monotonic()
    for model, folder in runs.items():
        once(folder / "run.json", "train", model, "--output", str(folder))
    trained_s = time.monotonic()
    for model, folder in runs.items():
        exporting = ("export", str(folder), "--repository", str(REPOSITORY), "--name", model)
        once(REPOSITORY / model / "1", *exporting, *_EVALUATED, _METRICS)
    exported_s = time.monotonic()
    with server(REPOSITORY) as (address, ready_s):
        show(address)
    say(
        f"{told()}\n"
        f"training {trained_s - started_s:.0f} s, export {exported_s - trained_s:.0f} s, "
        f"server ready in {ready_s:.1f} s, all {time.monotonic() - started_s:.0f} s\n"
        f"report: {', '.join(str(folder / 'report.html') for folder in runs.values())}\n"
        "\nThe server is stopped. To go on by hand, in three terminals:\n"
        f"  .venv/bin/explicate serve --repository {REPOSITORY}\n"
        f"  .venv/bin/explicate {by_hand}\n"
        "  .venv/bin/explicate console        and open http://127.0.0.1:8600 in a browser: try, compare, look"
    )
    return 0


def once(made: Path, *command: str) -> None:
    """Run a command, unless what it makes is there."""
    if made.exists():
        say(f"{made.parent} is there already; remove it to {command[0]} again")
    else:
        explicate(*command)


@contextmanager
def server(repository: Path, *options: str) -> Iterator[tuple[str, float]]:
    """`explicate serve` on a free port; yields its address and the seconds until it was ready."""
    command = ["serve", "--repository", str(repository), "--listen", "127.0.0.1:0", *options]
    say(f"$ explicate {shlex.join(command)}")
    started_s = time.monotonic()
    process = subprocess.Popen(_command(*command), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise SystemExit("the server did not start; what it said is above")
        yield address, time.monotonic() - started_s
    finally:
        process.terminate()
        process.communicate(timeout=60)


def explicate(*arguments: str, shown: str | None = None) -> None:
    """Run a command, after showing it, or `shown` in its place; a failure ends the demo with its exit code."""
    say(f"$ explicate {shown or shlex.join(arguments)}")
    done = subprocess.run(_command(*arguments), check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def held_out(run: Path) -> list[dict[str, Any]]:
    """The test part: texts or rows, each with its label, which the model has never seen."""
    lines = (run / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def metrics(run: Path) -> dict[str, Any]:
    """What training measured."""
    read: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return read


def say(text: str) -> None:
    """Print a paragraph."""
    print(f"\n{text}", flush=True)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "explicate", *arguments]
