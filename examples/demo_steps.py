"""What every demo does: train, export, serve and ask, each step a command that can be repeated by hand."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path("repository")


def train(config: str, run: Path) -> None:
    """`explicate train`, unless the run is there."""
    if (run / "run.json").exists():
        say(f"{run} is there already; remove it to train again")
    else:
        explicate("train", config, "--output", str(run))


def export(run: Path, model: str) -> None:
    """`explicate export` into the repository, unless the model is there."""
    if (REPOSITORY / model / "1").exists():
        say(f"{REPOSITORY / model} is there already; remove it to export again")
    else:
        explicate("export", str(run), "--repository", str(REPOSITORY), "--name", model)


@contextmanager
def server() -> Iterator[tuple[str, float]]:
    """`explicate serve` on a free port; yields its address and the seconds until it was ready."""
    command = ["serve", "--repository", str(REPOSITORY), "--listen", "127.0.0.1:0"]
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
