"""`make demo-image`: from handwritten digits to explained pictures, each step a command that can be repeated by hand.

Trains a small ResNet on scikit-learn's digits, exports it, serves it on a free port, predicts images of the test split,
which it has never seen, and draws over one of them what speaks for a 4 rather than a 9.
"""

import sys
from pathlib import Path
from typing import Any

from examples import demo_steps
from examples.demo_steps import say

RUN = Path("runs/digits")
MODEL = "digits"
PICTURE = RUN / "4-rather-than-9.png"
_PREDICTED = 5  # images shown as a table before one is explained
# Where the white of a stroke is missing tells a 4 from a 9 as much as where it is: an absent cell is grey, not black.
_CONTRAST = ("--target", "4", "--against", "9", "--granularity", "grid", "--segments", "25", "--masking", "grey")


def main() -> int:
    """Run the demo; returns the exit code."""
    by_hand = f"explain --model {MODEL} --image {RUN / 'held_out' / '00003.png'} --out why.png"
    return demo_steps.run({MODEL: RUN}, _show, _told, by_hand)


def _told() -> str:
    accuracy = demo_steps.metrics(RUN)["test"]["accuracy"]
    return f"accuracy on the {len(demo_steps.held_out(RUN))} test images: {accuracy:.1%}\nthe picture: {PICTURE}"


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


if __name__ == "__main__":
    sys.exit(main())
