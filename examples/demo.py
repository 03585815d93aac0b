"""`make demo`: from labelled reviews to an explained prediction, each step a command that can be repeated by hand.

Fine-tunes MiniLM-L6 on food reviews, exports it, serves it on a free port, and predicts and explains three reviews of
the test split, which the model has never seen: a short one, a middling one, a long one.
"""

import sys
import time
from pathlib import Path
from typing import Any

from examples import demo_steps
from examples.demo_steps import REPOSITORY, say

RUN = Path("runs/food-reviews")
MODEL = "food-reviews"
# Words of the reviews to explain: at least, at most.
_LENGTHS = ((8, 14), (30, 40), (90, 120))


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
        f"accuracy on the 1,000 test reviews: {demo_steps.metrics(RUN)['test']['accuracy']:.1%}\n"
        f"training {trained_s - started_s:.0f} s, export {exported_s - trained_s:.0f} s, "
        f"server ready in {ready_s:.1f} s, all {time.monotonic() - started_s:.0f} s\n"
        f"report: {RUN / 'report.html'}\n"
        "\nThe server is stopped. To go on by hand, in two terminals:\n"
        f"  .venv/bin/explicate serve --repository {REPOSITORY}\n"
        f'  .venv/bin/explicate explain --model {MODEL} "Great soup, but the box was crushed."'
    )
    return 0


def _show(address: str) -> None:
    for review in _reviews():
        say(f"A test review; its author's verdict: {review['label']}")
        asked = ("--server", address, "--model", MODEL, "--format", "text", "--", review["text"])
        demo_steps.explicate("explain", *asked, shown="explain REVIEW")


def _reviews() -> list[dict[str, Any]]:
    """The first test review of each length."""
    reviews = demo_steps.held_out(RUN)
    return [
        next(review for review in reviews if least <= len(review["text"].split()) <= most) for least, most in _LENGTHS
    ]


if __name__ == "__main__":
    sys.exit(main())
