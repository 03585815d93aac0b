"""`make demo-image`: from handwritten digits to explained pictures, each step a command that can be repeated by hand.

Trains a small ResNet on scikit-learn's digits, exports it, serves it on a free port, predicts images of the test split,
which it has never seen, and draws over one of them what speaks for a 4 rather than a 9.
"""

import sys
import time
from pathlib import Path
from typing import Any

from examples import demo_steps
from examples.demo_steps import REPOSITORY, say

RUN = Path("runs/digits")
MODEL = "digits"
PICTURE = RUN / "4-rather-than-9.png"
_PREDICTED = 5  # images shown as a table before one is explained
# Where the white of a stroke is missing tells a 4 from a 9 as much as where it is: an absent cell is grey, not black.
_CONTRAST = ("--target", "4", "--against", "9", "--granularity", "grid", "--segments", "25", "--masking", "grey")


def main() -> int:
    """Run the demo; returns the exit code."""
    started_s = time.monotonic()
    demo_steps.train(MODEL, RUN)
    trained_s = time.monotonic()
    demo_steps.export(RUN, MODEL)
    exported_s = time.monotonic()
    with demo_steps.server() as (address, ready_s):
        _show(address)
    say(
        f"accuracy on the {len(demo_steps.held_out(RUN))} test images: {_accuracy():.1%}\n"
        f"training {trained_s - started_s:.0f} s, export {exported_s - trained_s:.0f} s, "
        f"server ready in {ready_s:.1f} s, all {time.monotonic() - started_s:.0f} s\n"
        f"the picture: {PICTURE}; the report: {RUN / 'report.html'}\n"
        "\nThe server is stopped. To go on by hand, in two terminals:\n"
        f"  .venv/bin/explicate serve --repository {REPOSITORY}\n"
        f"  .venv/bin/explicate explain --model {MODEL} --image {RUN / 'held_out' / '00003.png'} --out why.png"
    )
    return 0


def _show(address: str) -> None:
    images = demo_steps.held_out(RUN)
    shown = images[:_PREDICTED]
    say(f"{len(shown)} test images, written as {', '.join(image['label'] for image in shown)}")
    _ask("predict", address, *shown)
    four = next(image for image in images if image["label"] == "4")
    say("A test image, written as 4: what speaks for a 4 rather than a 9?")
    _ask("explain", address, four, options=(*_CONTRAST, "--output-space", "logit", "--out", str(PICTURE)))


def _ask(command: str, address: str, *images: dict[str, Any], options: tuple[str, ...] = ()) -> None:
    files = [str(RUN / image["image"]) for image in images]
    asked = ("--model", MODEL, *options, "--format", "text", "--image", *files)
    demo_steps.explicate(command, "--server", address, *asked, shown=" ".join([command, *asked]))


def _accuracy() -> float:
    accuracy: float = demo_steps.metrics(RUN)["test"]["accuracy"]
    return accuracy


if __name__ == "__main__":
    sys.exit(main())
