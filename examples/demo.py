"""`make demo`: from labelled reviews to an explained prediction, each step a command that can be repeated by hand.

Fine-tunes MiniLM-L6 on food reviews, exports it, serves it on a free port, and predicts and explains three reviews of
the test split, which the model has never seen: a short one, a middling one, a long one.
"""

import sys
from pathlib import Path
from typing import Any

from examples import demo_steps
from examples.demo_steps import say

RUN = Path("runs/food-reviews")
MODEL = "food-reviews"
# Words of the reviews to explain: at least, at most.
_LENGTHS = ((8, 14), (30, 40), (90, 120))


def main() -> int:
    """Run the demo; returns the exit code."""
    by_hand = f'explain --model {MODEL} "Great soup, but the box was crushed."'
    return demo_steps.run({MODEL: RUN}, _show, _told, by_hand)


def _told() -> str:
    return f"accuracy on the 1,000 test reviews: {demo_steps.metrics(RUN)['test']['accuracy']:.1%}"


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
