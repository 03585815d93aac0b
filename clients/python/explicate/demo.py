"""`make demo`: from labelled reviews to an explained prediction, each step a command that can be repeated by hand.

Fine-tunes MiniLM-L6 on food reviews, exports it, serves it on a free port, and predicts and explains three reviews of
the test split, which the model has never seen: a short one, a middling one, a long one.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RUN = Path("runs/food-reviews")
REPOSITORY = Path("repository")
MODEL = "food-reviews"
# Words of the reviews to explain: at least, at most.
_LENGTHS = ((8, 14), (30, 40), (90, 120))


def main() -> int:
    """Run the demo; returns the exit code."""
    started_s = time.monotonic()
    if (RUN / "run.json").exists():
        _say(f"{RUN} is there already; remove it to fine-tune again")
    else:
        _explicate("train", "food-reviews", "--output", str(RUN))
    trained_s = time.monotonic()
    if (REPOSITORY / MODEL / "1").exists():
        _say(f"{REPOSITORY / MODEL} is there already; remove it to export again")
    else:
        _explicate("export", str(RUN), "--repository", str(REPOSITORY), "--name", MODEL)
    exported_s = time.monotonic()
    with _server() as (address, ready_s):
        _show(address)
    accuracy = json.loads((RUN / "metrics.json").read_text(encoding="utf-8"))["test"]["accuracy"]
    _say(
        f"accuracy on the 1,000 test reviews: {accuracy:.1%}\n"
        f"training {trained_s - started_s:.0f} s, export {exported_s - trained_s:.0f} s, "
        f"server ready in {ready_s:.1f} s, all {time.monotonic() - started_s:.0f} s\n"
        f"report: {RUN / 'report.html'}\n"
        "\nThe server is stopped. To go on by hand, in two terminals:\n"
        f"  .venv/bin/explicate serve --repository {REPOSITORY}\n"
        '  .venv/bin/explicate explain "Great soup, but the box was crushed."'
    )
    return 0


def _show(address: str) -> None:
    for review in _reviews():
        _say(f"A test review; its author's verdict: {review['label']}")
        _explicate("explain", "--server", address, "--format", "text", "--", review["text"], shown="explain REVIEW")


def _reviews() -> list[dict[str, Any]]:
    """The first test review of each length."""
    lines = (RUN / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    reviews = [json.loads(line) for line in lines]
    return [
        next(review for review in reviews if least <= len(review["text"].split()) <= most) for least, most in _LENGTHS
    ]


@contextmanager
def _server() -> Iterator[tuple[str, float]]:
    """`explicate serve` on a free port; yields its address and the seconds until it was ready."""
    command = ["serve", "--repository", str(REPOSITORY), "--listen", "127.0.0.1:0"]
    _say(f"$ explicate {shlex.join(command)}")
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


def _explicate(*arguments: str, shown: str | None = None) -> None:
    _say(f"$ explicate {shown or shlex.join(arguments)}")
    done = subprocess.run(_command(*arguments), check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "explicate", *arguments]


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
