"""What the benchmarks run on: the demos' models, and the reviews that one of them was tested on."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN = ROOT / "runs" / "food-reviews"
REPOSITORY = ROOT / "repository"
MODEL = "food-reviews"


def prepare(model: str = MODEL) -> None:
    """Fine-tune and export a demo's model unless `make demo` or `make demo-image` has done it."""
    run = ROOT / "runs" / model
    if not (run / "run.json").exists():
        _explicate("train", model, "--output", str(run))
    if not (REPOSITORY / model).exists():
        _explicate("export", str(run), "--repository", str(REPOSITORY), "--name", model)


def reviews() -> list[str]:
    """The held-out reviews, in the test split's order."""
    lines = (RUN / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def _explicate(*arguments: str) -> None:
    print("$ explicate", *arguments, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "explicate", *arguments], check=True, stdout=sys.stderr)
