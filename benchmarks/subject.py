"""What the benchmarks run on: the demo's fine-tuned model and the reviews it was tested on."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN = ROOT / "runs" / "food-reviews"
REPOSITORY = ROOT / "repository"
MODEL = "food-reviews"


def prepare() -> None:
    """Fine-tune and export the demo's model unless `make demo` has done it."""
    if not (RUN / "run.json").exists():
        _explicate("train", "food-reviews", "--output", str(RUN))
    if not (REPOSITORY / MODEL).exists():
        _explicate("export", str(RUN), "--repository", str(REPOSITORY), "--name", MODEL)


def reviews() -> list[str]:
    """The held-out reviews, in the test split's order."""
    lines = (RUN / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def _explicate(*arguments: str) -> None:
    print("$ explicate", *arguments, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "explicate", *arguments], check=True, stdout=sys.stderr)
